"""One pod of a race as a process: `python -m pendingctl.race`, with the hours by which its clock is wrong."""

from __future__ import annotations

import sys


def main() -> None:
    """Set the clock before anything is imported that may look at it, then run the pod."""
    if len(sys.argv) > 1:
        from .pods.skew import shift_wall_clock

        shift_wall_clock(float(sys.argv[1]))
    from .pods.lifetime import run_pod
    from .pods.pod import serve
    from .pods.wire import decode_assignment

    run_pod(decode_assignment, serve)


if __name__ == "__main__":
    main()
