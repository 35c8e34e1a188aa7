"""Outages in a log: reported once, not at every attempt."""

from __future__ import annotations

import logging


class Outage:
    """Whether something is out of reach for now; its first failure is logged as a warning, and no further one."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self.is_on = False

    def report(self, message: str, *details: object) -> None:
        """An attempt failed; the message is logged, with the details as `logging` formats them, if it is the first."""
        if not self.is_on:
            self._log.warning(message, *details)
        self.is_on = True

    def over(self) -> None:
        """An attempt succeeded."""
        self.is_on = False
