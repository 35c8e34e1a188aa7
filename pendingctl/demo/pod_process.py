"""A process of `pendingctl` that ends when its stdin does, as it does with its parent, however that ends.

`python -m pendingctl.demo.pod_process` takes the arguments of `pendingctl`.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading

_STDIN = 0


def _end_with_stdin() -> None:
    # Not by `sys.stdin`, whose lock no thread may hold when the interpreter ends.
    while os.read(_STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_stdin, name="end with stdin", daemon=True).start()
    runpy.run_module("pendingctl", run_name="__main__")
