"""The client takes a response apart as the browser's own EventSource does, wherever it is cut."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
from starlette.types import Receive, Scope, Send

from pendingctl.sse.access import header_of

from .site import Site, respond
from .tabs import Tab

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

# Both come back at once, and say with which position.
RETRY = b"retry: 1\n"
# As a proxy makes it that adds the header once more.
TYPE = "text/event-stream, Text/Event-Stream; charset=utf-8"
BOM = b"\xef\xbb\xbf"
RESPONSES = {
    "LF": b"id: 1\ndata: a\ndata: b\n\ndata: c\n\n",
    "CR": b"id: 1\rdata: a\rdata: b\r\rdata: c\r\r",
    "CRLF": b"id: 1\r\ndata: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n",
    "all line ends": b"id: 1\rdata: a\ndata: b\r\ndata: c\n\r\ndata: d\n\rdata: e\r\n\rdata: f\r\r\n",
    "CR at the end": b"data: a\r\n\r\ndata: b\r\r",
    "other ends of lines are none": "data: a\x0bb\x0cc\x85d\u2028e\u2029f\n\n".encode(),
    "blank lines": b"\n\r\n\r\rdata: a\n\n\n\ndata: b\n\n\n",
    "comments": b":\n\n: x\n:data: no\ndata: a\n: within\ndata: b\n\n:",
    "data without a value": b"data\n\ndata:\n\ndata: \n\ndata\ndata\n\n",
    "spaces": b"data:a\ndata: b\ndata:  c\ndata:d \n\ndata:\ta\n\n",
    "colons": b"data::\ndata: : :\n::\n:::data: no\n\n",
    "unknown fields": b"foo: bar\nDATA: no\n data: no\ndata : no\ndata\0: no\ndat: no\ndatas: no\ndata: a\n\nfoo\n\n",
    "types": b"event: a\ndata: x\n\ndata: y\n\nevent: a\nevent: b\ndata: z\n\nevent:\ndata: u\n\nevent\ndata: v\n\n",
    "a type without data is forgotten": b"event: a\n\ndata: x\n\n",
    "an id without data is kept": b"id: 1\n\ndata: x\n\nid: 2\n\n",
    "an id lasts, until it is empty": b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: 2\ndata: d\n\nid:\n\n",
    "an id with NUL": b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid: \0\ndata: c\n\nid: 3\nid: \x004\ndata: d\n\n",
    "NUL elsewhere": b"data: a\0b\nda\0ta: c\n\n",
    "an id in other letters": "id: ✓é\ndata: a\n\n".encode(),
    "a retry that is none": b"retry: 60000x\nretry: -60000\nretry: 6e4\nretry: 60000 \nretry:  60000\ndata: a\n\n",
    "digits of another script": "retry: ６００００\ndata: a\n\n".encode(),
    "an unfinished event": b"id: 1\ndata: a\n\nid: 2\ndata: b\n",
    "an unfinished line": b"id: 1\ndata: a\n\nid: 2\ndata: b",
    "an unfinished id": b"id: 1\ndata: a\n\nid: 2",
    "an unfinished character": b"id: 1\ndata: a\n\ndata: b\xe2\x82",
    "BOM within": BOM.join([b"data: a", b"b\n\n", b"data: no\n\ndata: c\n\n"]),
    "UTF-8": "event: é\ndata: é ✓ 😀 \U0010ffff\n\n".encode(),
    "invalid UTF-8": b"data: \xff|\xc3|\xe2\x82|\xf0\x9f\x98|\xc0\xaf|\xed\xa0\x80|\xf5\x80\x80\x80|\x80\n\n",
    "characters that end too early": b"data: \xc3\n\ndata: \xe2\x82\r\ndata: \xf0\x9f\x98\r\n\n",
}
ENDS = (b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n")
TEXTS = (b"data", b"data:", b"data: ", b"id: ", b"event: ", b":", b" ", b"a", b"b", b"1", b"\0", BOM, b"\xc3", b"\xa9")


def responses() -> dict[str, bytes]:
    """By their names: what is known to be nasty, with and without a byte order mark, and what chance makes."""
    chance = random.Random(1)
    by_chance = {f"by chance {seed}": b"".join(chance.choices(TEXTS + 3 * ENDS, k=25)) for seed in range(30)}
    marked = {
        f"{number} BOM before {name}": BOM * number + b"data: x\n" + RETRY + RESPONSES[name]
        for name in ("LF", "CR")
        for number in (1, 2)
    }
    return marked | {name: RETRY + data for name, data in (RESPONSES | by_chance).items()}


@dataclass
class Served:
    """A response for each of its readers, and after that 204; `positions` are those with which they came back."""

    data: bytes
    positions: dict[str, str] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode())
        (reader,) = query["reader"]
        if reader not in self._begun:
            self._begun.add(reader)
            await respond(send, 200, TYPE, self.data)
            return
        header = header_of(scope, b"last-event-id").encode("latin-1").decode()
        self.positions[reader] = query.get("last_event_id", [header])[0]
        await respond(send, 204, "text/plain")


async def test_it_dispatches_what_event_source_does_wherever_a_response_is_cut(tab: Tab, site: Site) -> None:
    served = {name: Served(data) for name, data in responses().items()}
    for number, each in enumerate(served.values()):
        site.answers[f"/{number}"] = each
    addresses = [f"/{number}" for number in range(len(served))]

    by_client, by_source = await tab.evaluate(
        """async addresses => {
            const { dispatched, parsed } = await import("/readers.js")
            const all = read => Promise.all(addresses.map(read))
            const byClient = await all(address => parsed(`${address}?reader=client`))
            // EventSource gives a page only the types that it listens for.
            const types = new Set(["message", ...byClient.flat().map(([, type]) => type)])
            return [byClient, await all(address => dispatched(`${address}?reader=source`, types))]
        }""",
        addresses,
    )
    in_parts = await tab.evaluate(
        """async bodies => {
            const { parsedInParts } = await import("/readers.js")
            const all = []
            for (const body of bodies) all.push(await parsedInParts(body))
            return all
        }""",
        [list(each.data) for each in served.values()],
    )

    for (name, each), events, client, parts in zip(served.items(), by_source, by_client, in_parts, strict=True):
        assert client == events, name
        # A header's value has no space around it (RFC 9110, section 5.5).
        assert each.positions["client"].strip(" ") == each.positions["source"], name
        assert parts == [[client, each.positions["client"]]] * len(each.data), name
    assert sum(map(len, by_source)) > 60
