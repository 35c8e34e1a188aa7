"""`serve --demo` shows all of it on loopback, from nothing, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.processes import processes

ROOT = Path(__file__).parents[2]
# Its agent writes as fast as pods take it.
HURRIED = "from pendingctl.demo import agent; agent.WORD_SECONDS = 0; from pendingctl.__main__ import main; main()"

# Of a company's network, whose proxy does not lead to loopback.
PROXIES = {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1", "no_proxy": "example.com"}


@pytest.mark.once
async def test_a_button_of_the_page_is_pressed_and_the_next_question_comes_from_the_other_pod(tmp_path: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HURRIED, "serve", "--demo"),
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), **PROXIES},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert demo.stdout is not None
    try:
        async with asyncio.timeout(120):
            lines = [(await demo.stdout.readline()).decode() for _ in range(5)]
            assert lines[4] == "asked deploy-1 through pod A\n"
            url = re.findall(r"http://\S+/room/\S+", lines[1])[0]
            await _press(url, "yes")
            assert await demo.stdout.readline() == b"deploy-1 was answered 'yes' by U1\n"
            assert await demo.stdout.readline() == b"asked deploy-2 through pod B\n"
            demo.send_signal(signal.SIGINT)
            rest, log = await demo.communicate()
    finally:
        if demo.returncode is None:
            demo.kill()
        # Before what it has said is read to the end, `wait` may not return.
        async with asyncio.timeout(60):
            await demo.communicate()

    assert (demo.returncode, rest) == (128 + signal.SIGINT, b"")
    assert b"press: answered" in log
    assert os.listdir(tmp_path) == []  # noqa: PTH208 (in a coroutine)
    assert _left(tmp_path) == []


@pytest.mark.once
async def test_a_demo_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pendingctl", "serve", "--demo"),
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert demo.stdout is not None
    async with asyncio.timeout(120):
        while not (await demo.stdout.readline()).startswith(b"asked"):
            assert demo.returncode is None
        assert _left(tmp_path)
        demo.kill()
        # Nobody holds what it prints to.
        assert await demo.stdout.read() == b""
        while _left(tmp_path):  # noqa: ASYNC110 (they end by themselves)
            await asyncio.sleep(0.1)


def _left(folder: Path) -> list[str]:
    """What runs with files in the folder."""
    return [each.command for each in processes() if str(folder) in each.command]


async def _press(url: str, label: str) -> None:
    """Press a button of the page as a browser does."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    async with httpx.AsyncClient() as client:
        forms: list[str] = []
        while not forms:
            await asyncio.sleep(0.1)
            forms = re.findall(rf"<form.*?<button>{label}</button></form>", (await client.get(url)).text)
        found = re.findall(r'name="([^"]+)" value="([^"]*)"', forms[0].rpartition("<form")[2])
        fields = {name: unescape(value) for name, value in found}
        pressed = await client.post(f"{origin}{parts.path}", data=fields, headers={"Origin": origin})
    assert pressed.status_code == 303
