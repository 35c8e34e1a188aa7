"""The pending interactions of one database."""

from .inspection import REMAINING_CAP, Filters
from .puts import IfAnswered, PutOptions
from .store import PendingStore

__all__ = ["REMAINING_CAP", "Filters", "IfAnswered", "PendingStore", "PutOptions"]
