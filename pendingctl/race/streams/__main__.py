"""One pod of a race on streams as a process: `python -m pendingctl.race.streams`."""

from __future__ import annotations

from ..pods.lifetime import run_pod
from .pod import serve
from .wire import decode_assignment

if __name__ == "__main__":
    run_pod(decode_assignment, serve)
