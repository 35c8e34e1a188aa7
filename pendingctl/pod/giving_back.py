"""What a pod that closes could not bring to an end, given back to the others at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from .background import LAST_SECONDS

# A row that somebody has locked is looked at again.
AGAIN_SECONDS = 0.05

_log = logging.getLogger(__name__)


async def give_back(what: str, ids: Collection[str], back: Callable[[Collection[str]], Awaitable[set[str]]]) -> None:
    """Give back the leases on these questions, within LAST_SECONDS, and log what cannot be; raises nothing.

    `back` returns the ids of those that have to wait, since their rows are locked. `what` names them in logs.
    """
    left, why = set(ids), "their rows are locked, or the database does not answer"
    try:
        async with asyncio.timeout(LAST_SECONDS):
            while left:
                left = await back(left)
                await asyncio.sleep(AGAIN_SECONDS if left else 0)
    except TimeoutError:
        pass
    except Exception as error:  # noqa: BLE001 (a pod closes, whatever a driver raises)
        why = str(error)
    if left:
        _log.warning("%s go to another pod when their leases have run out (%d of them): %s", what, len(left), why)
