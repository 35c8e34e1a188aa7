"""What a fault needs to strike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..pods.dispatcher import Dispatcher
from ..pods.supervisor import PodSupervisor
from .proxy import Proxy


@dataclass(frozen=True, slots=True)
class OwnServer:
    """What can be done to a server that belongs to the race. Both block until a server accepts writes again.

    `restart` stops it in immediate mode and starts it again; `fail_over`, where there is a standby, stops it for good
    and promotes the standby. `fall_behind` has the standby replicate no more, where it may lose commits.
    """

    restart: Callable[[], None]
    fail_over: Callable[[], None] | None = None
    fall_behind: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class FaultContext:
    """The parts of a race that faults act on; `proxy` and `server` are there when a fault of the race needs them."""

    dsn: str
    dispatcher: Dispatcher
    supervisor: PodSupervisor
    proxy: Proxy | None
    server: OwnServer | None
