"""The pending interactions of one database."""

from .inspection import REMAINING_CAP, Filters
from .store import IfAnswered, PendingStore

__all__ = ["REMAINING_CAP", "Filters", "IfAnswered", "PendingStore"]
