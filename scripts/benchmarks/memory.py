"""How much memory a process took at most."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

# A process starts out with the peak of the one that it was forked from (Linux, setmax_mm_hiwater_rss), so a small
# one starts what is measured.
_PEAK_MEMORY = """
import os, sys
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_memory(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command to its end, its output unseen, and return its peak in MiB."""
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _PEAK_MEMORY, *command],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    # Bytes on macOS, kilobytes elsewhere (getrusage(2)).
    return int(said.stdout) / (1 << 20 if sys.platform == "darwin" else 1 << 10)
