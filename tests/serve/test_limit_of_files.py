"""A pod has the kernel allow as many files as its clients may open connections, and says where it does not."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.serve.listeners import LIMITS

from .pods import configuration, served

LIMITED = """
import logging, resource, sys
from pendingctl.serve.process import raise_limit_of_files
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1_000))
for connections in (200, 2_000):
    raise_limit_of_files(connections)
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_the_limit_is_raised_as_far_as_it_may_be_and_one_that_is_too_low_is_a_warning() -> None:
    said = subprocess.run([sys.executable, "-c", LIMITED], check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == [
        "456",
        "WARNING only 1000 files may be open, too few for 2000 connections: raise the limit of open files to 2256 "
        "(ulimit -n)",
        "1000",
    ]


@pytest.mark.once
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux alone tells the limits of another process")
async def test_both_listeners_may_be_full(dsn: str, slack: FakeSlack, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = 2 * LIMITS.connections + 10
    if hard != resource.RLIM_INFINITY and hard <= connections:
        pytest.skip(f"only {hard} files may be open on this machine")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1_024), hard))
    try:
        async with served(configuration(slack_url=slack.url, worker_url=None), dsn, tmp_path) as pod:
            assert resource.prlimit(pod.process.pid, resource.RLIMIT_NOFILE)[0] > connections
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
