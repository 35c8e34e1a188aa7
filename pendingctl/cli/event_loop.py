"""The event loop in which a command's coroutine runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TypeVar

T = TypeVar("T")


def endings() -> list[signal.Signals]:
    """Return what asks a command to end beside Ctrl-C: SIGTERM, and a terminal's end unless `nohup` has it ignored."""
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM, *([] if is_ignored else [signal.SIGHUP])]


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine and return its result.

    SIGTERM and SIGHUP cancel it, as Ctrl-C does, so that it cleans up before the process ends; then SystemExit is
    raised.
    """
    import asyncio
    import logging

    # What the driver warns of, a connection that is given up for one, the command reports in its own words.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())

    async def supervised() -> T:
        task = asyncio.ensure_future(coroutine)
        loop = asyncio.get_running_loop()
        ended_by: int | None = None

        def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a signal handler's signature)
            nonlocal ended_by
            ended_by = number
            # At once, as Ctrl-C does, also where the loop has no turn; and it is woken where it waits.
            task.cancel()
            loop.call_soon_threadsafe(lambda: None)

        before = {number: signal.signal(number, end) for number in endings()}
        try:
            return await task
        except asyncio.CancelledError:
            if ended_by is not None:
                raise SystemExit(128 + ended_by) from None
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return asyncio.run(supervised())


def interruptible_call(work: Callable[[], T]) -> T:
    """Call what blocks a command's coroutine, as a pipe can. A signal ends it, also one since the loop's last turn."""
    import asyncio

    with interruptible():
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        return work()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and `endings` end the block at once, although it blocks the event loop, as a write to a pipe can.

    Raises SystemExit in the block.
    """

    def end(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (a signal handler's signature)
        raise SystemExit(128 + signum)

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, *endings())}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
