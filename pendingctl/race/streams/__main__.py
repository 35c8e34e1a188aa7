"""One pod of a race on streams as a process: `python -m pendingctl.race.streams`."""

from __future__ import annotations

from .pod import run_pod

if __name__ == "__main__":
    run_pod()
