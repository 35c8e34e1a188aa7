"""What the faults of a race on streams act on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..faults.context import OwnServer
from ..faults.proxy import Proxy
from .orders import StreamPods
from .plan import StreamFaultKind, StreamRaceSettings
from .pooler import Pooler
from .readers import Readers
from .recording import StreamRecorder


@dataclass(frozen=True, slots=True)
class Scene:
    """The parts of a race; the last ones, of which `listening` is a proxy, are there when a fault of it needs them.

    `recorder` notes what the coordinator itself appends.
    """

    dsn: str
    settings: StreamRaceSettings
    organizations: tuple[str, str]
    directory: Path
    pods: StreamPods
    readers: Readers
    recorder: StreamRecorder
    server: OwnServer | None
    listening: Proxy | None
    pooler: Pooler | None

    @property
    def is_waking(self) -> bool:
        """Whether wake-ups are sent."""
        return StreamFaultKind.DROP_WAKE_UPS not in self.settings.faults
