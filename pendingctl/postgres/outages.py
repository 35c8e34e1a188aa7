"""Outages in a log: reported once, not at every attempt."""

from __future__ import annotations

import logging


class Outage:
    """Whether something is out of reach for now; its first failure is logged as a warning, and no further one."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self.is_on = False

    def report(self, message: str, *details: object, exc_info: bool = False) -> None:
        """An attempt failed; if it is the first, the message is logged, as `logging` formats it with the details.

        `exc_info`: with the traceback, where it may be a mistake of somebody's program.
        """
        if not self.is_on:
            self._log.warning(message, *details, exc_info=exc_info)
        self.is_on = True

    def over(self) -> None:
        """An attempt succeeded."""
        self.is_on = False
