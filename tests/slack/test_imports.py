"""Only a pod that uses Slack pays for its client."""

from __future__ import annotations

import subprocess
import sys

OF_THE_EXTRA = ("slack_sdk", "aiohttp")


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_a_pod_without_slack_imports_nothing_of_it() -> None:
    program = f"import sys\nfrom pendingctl import InteractionBridge\nprint(*({set(OF_THE_EXTRA)} & set(sys.modules)))"

    assert run(program).split() == []


def test_a_missing_extra_is_named() -> None:
    for missing in OF_THE_EXTRA:
        program = (
            f"import sys\nsys.modules[{missing!r}] = None\n"
            "from pendingctl import PendingctlError\n"
            "try:\n    import pendingctl.platforms.slack\nexcept PendingctlError as error:\n    print(error)"
        )

        assert run(program) == (
            "SlackPlatform needs an optional part; install it with: pip install 'pendingctl[slack]'\n"
        )
