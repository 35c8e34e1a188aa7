"""What `pendingctl serve` is configured with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The files of a listener's certificate, with its chain, and of its key, both in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where a listener listens, and below which path; `trusted_proxies` are addresses and networks."""

    host: str
    port: int
    base_path: str
    trusted_proxies: tuple[str, ...]
    tls: Tls | None
