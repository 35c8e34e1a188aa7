"""An agent that writes word by word onto an event stream, asks whether to deploy, and goes on by the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import aiohttp

from ..errors import DatabaseFailed
from ..payload import JsonObject, JsonValue
from .kept_pods import KeptPod

STREAM = "deploys"
# As fast as a person reads along.
WORD_SECONDS = 0.12
_TRY_SECONDS = 0.1
_TRIES = 600
_TRY_WITHIN = aiohttp.ClientTimeout(total=5.0)
_TRY_AGAIN = (429, 503)

_BEFORE = (
    "Build {number} has passed its tests, 412 of them. It changes the checkout and the search, and its one migration "
    "only adds a column.",
    "On the canary it has served 20,000 requests without a new error, as quickly as the build before.",
)
_AFTER: Mapping[str, Sequence[str]] = {
    "yes": (
        "Good, build {number} goes out. A tenth of the machines have it now: no new errors, and the slowest requests "
        "are as slow as before.",
        "Half of them have it. The search answers from its new index, and the old one is kept until tomorrow.",
        "Now all of them. Nothing stands out, so I go on with the next build.",
    ),
    "no": (
        "Then build {number} stays where it is, and the machines keep the build before.",
        "I take it off the canary, write down what it changes, and note that the migration has not run. Nobody who "
        "uses the shop has seen anything of it.",
        "That is done. I go on with the next build.",
    ),
}


class Agent:
    """Writes onto the stream STREAM through the `pods`, in turn, past those that do not reply.

    `answered` has the answers that were delivered to its worker, `channel` is where it asks alice, `say` is given what
    it does, line by line. `client` sends its organization's token.
    """

    def __init__(
        self,
        pods: Sequence[KeptPod],
        client: aiohttp.ClientSession,
        answered: asyncio.Queue[JsonObject],
        *,
        channel: str,
        say: Callable[[str], None],
    ) -> None:
        self._pods = pods
        self._client = client
        self._answered = answered
        self._channel = channel
        self._say = say
        self._turns = count()
        self._last_seq = 0

    async def work(self) -> None:
        """Write, ask, wait for the answer and go on, for ever. Raises DatabaseFailed where no pod takes it any more."""
        for number in count(1):
            await self._write(_BEFORE, number)
            name = await self._ask(number)
            self._say(f"asked deploy-{number} through pod {name}")
            answer = await self._answered.get()
            self._say(f"{answer['question_id']} was answered {answer['value']!r} by {answer['answered_by']}")
            await self._write(_AFTER[str(answer["value"])], number)

    async def _write(self, paragraphs: Sequence[str], number: int) -> None:
        for paragraph in paragraphs:
            for word in paragraph.format(number=number).split():
                await self._append(f"{word} ")
                await asyncio.sleep(WORD_SECONDS)
            await self._append("\n")

    async def _append(self, text: str) -> None:
        """Append a word, once, also where the reply of a pod that had appended it was lost."""
        path = f"/streams/{STREAM}/events"
        while True:
            event: JsonObject = {"type": "token", "data": text}
            _, status, reply = await self._post(
                path, {"events": [event], "expected": self._last_seq}, next(self._turns)
            )
            if status in (200, 201):
                self._last_seq = int(str(reply["last_seq"]))
                return
            if status != 409:
                raise DatabaseFailed(f"a pod has not appended: {reply}")
            # The next event is another one, a pod's about the question, and so not this one.
            self._last_seq += 1

    async def _ask(self, number: int) -> str:
        """Ask a question, through a pod whose name is returned."""
        question: JsonObject = {
            "id": f"deploy-{number}",
            "connection_id": "slack",
            "user_id": "U1",
            "conversation_id": self._channel,
            "text": f"Deploy build {number} to production?",
            "options": list(_AFTER),
            "stream": STREAM,
        }
        name, status, reply = await self._post("/questions", question, number - 1)
        if status not in (200, 201):
            raise DatabaseFailed(f"a pod has not asked: {reply}")
        return name

    async def _post(self, path: str, body: JsonObject, turn: int) -> tuple[str, int, Mapping[str, JsonValue]]:
        """Send a request to the pod whose turn it is, else to the next one: its name, its status and its reply."""
        for attempt in range(turn, turn + _TRIES):
            pod = self._pods[attempt % len(self._pods)]
            try:
                async with self._client.post(f"{pod.pod.url}{path}", json=body, timeout=_TRY_WITHIN) as reply:
                    if reply.status not in _TRY_AGAIN:
                        return pod.name, reply.status, await reply.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_TRY_SECONDS)
        raise DatabaseFailed("no pod has replied for a minute")
