"""Origins of web pages: those that a browser may send are taken, and what none ever sends is refused."""

from __future__ import annotations

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.sse.origins import Origins


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "https://app.example.com",
            "http://localhost:3000",
            "https://a_b.example.com.",
            "https://xn--bcher-kva.example",
        ),
        *("http://127.0.0.1:8443", "http://[::1]:3000", "https://1.example.com", "https://a:65535"),
    ],
)
def test_what_browsers_write_is_taken(origin: str) -> None:
    said = Origins([origin]).headers({"headers": [(b"origin", origin.encode())]})
    assert (b"access-control-allow-origin", origin.encode()) in said


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "",
            "*",
            "null",
            "app.example.com",
            "file://",
            "https://",
            "https://a/",
            "https://A",
            "https://a b",
            "https://a\n",
        ),
        *("https://bücher.example", "https://user@a", "https://a?b", "https://a#b", "https://a..b", "https://.a"),
        *("http://a:80", "https://a:443", "https://a:0443", "https://a:0", "https://a:65536", "https://a:"),
        *(
            "http://127.1",
            "http://0x7f.0.0.1",
            "http://127.0.0.01",
            "http://256.1.1.1",
            "http://2130706433",
            "http://a.1",
        ),
        *(
            "http://[::0]",
            "http://[0:0:0:0:0:0:0:1]",
            "http://[::ffff:1.2.3.4]",
            "http://[::1%25lo]",
            "http://[127.0.0.1]",
        ),
    ],
)
def test_what_no_browser_writes_is_refused(origin: str) -> None:
    with pytest.raises(InvalidInput, match="no origin as browsers write it"):
        Origins([origin])
