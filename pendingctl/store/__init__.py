"""The pending interactions of one database.

Imported at first use: whoever only inspects them needs nothing of the claim path.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .filters import Filters
    from .inspection import REMAINING_CAP
    from .puts import IfAnswered, PutOptions
    from .store import PendingStore

_HOME_OF = {
    "REMAINING_CAP": "inspection",
    "Filters": "filters",
    "IfAnswered": "puts",
    "PutOptions": "puts",
    "PendingStore": "store",
}

__all__ = ["REMAINING_CAP", "Filters", "IfAnswered", "PendingStore", "PutOptions"]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
