"""The event loop in which a command's coroutine runs."""

from __future__ import annotations

import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine and return its result.

    SIGTERM cancels it, as Ctrl-C does, so that it cleans up before the process ends; then SystemExit is raised.
    """
    import asyncio
    import logging

    # What the driver warns of, a connection that is given up for one, the command reports in its own words.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())

    async def supervised() -> T:
        task = asyncio.ensure_future(coroutine)
        terminated = False

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        try:
            return await task
        except asyncio.CancelledError:
            if terminated:
                raise SystemExit(128 + signal.SIGTERM) from None
            raise

    return asyncio.run(supervised())


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the block at once, although it blocks the event loop, as a write to a pipe can.

    Raises SystemExit in the block.
    """

    def end(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (a signal handler's signature)
        raise SystemExit(128 + signum)

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
