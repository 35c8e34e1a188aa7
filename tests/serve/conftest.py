"""What a deployment of `serve` consists of: Slack, a worker, two pods and a balancer, all on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

import httpx
import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from pendingctl import open_pool
from pendingctl.demo import presses
from pendingctl.demo.balancer import Balancer, balanced
from pendingctl.demo.messages import Message, text_of
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import acme_and_others
from pendingctl.inspected import PendingInteraction, QuestionHistory, State
from pendingctl.postgres.time_limits import Purpose
from pendingctl.store.inspection import Inspection
from pendingctl.trail import Step
from tests.conftest import migrated_database
from tests.patience import be_patient

from .answer_worker import AnswerWorker, taking_answers
from .applications import QUESTION, AssembledPod, assembled, usual
from .clients import PATIENCE
from .pods import SIGNING_SECRET, TOKEN, ServedPod, configuration, served

# How long the Slack of these tests waits for an acknowledgement. Slack's 3 s leave half a second for the way, more than
# which a busy machine takes; a press that nobody acknowledges before it is decided waits for 15 s.
ACKNOWLEDGED_WITHIN = 10.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presses, "ACKNOWLEDGE_SECONDS", ACKNOWLEDGED_WITHIN)
    # Of the pods in this process.
    be_patient(monkeypatch, Purpose.CLAIM)


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(acme_and_others(SIGNING_SECRET)) as running:
        yield running


@pytest.fixture
async def worker() -> AsyncIterator[AnswerWorker]:
    async with taking_answers() as running:
        yield running


@pytest.fixture
async def pod(dsn: str, slack: FakeSlack, tmp_path: Path) -> AsyncIterator[AssembledPod]:
    """A pod without listeners."""
    async with assembled(usual(tmp_path, slack.url), dsn) as running:
        yield running


@pytest.fixture
async def other_pod(dsn: str, slack: FakeSlack, tmp_path: Path) -> AsyncIterator[AssembledPod]:
    """Another pod of the same configuration."""
    async with assembled(usual(tmp_path, slack.url), dsn) as running:
        yield running


@dataclass
class Deployment:
    """Two pods, A and B, behind a balancer, and what is around them."""

    slack: FakeSlack
    worker: AnswerWorker
    a: ServedPod
    b: ServedPod
    balancer: Balancer
    text: str = field(repr=False)
    dsn: str = ""
    folder: Path = Path()

    async def ask(self, pod: ServedPod, id: str, *, token: str = TOKEN, **changes: object) -> httpx.Response:
        """Ask a question through a pod."""
        async with httpx.AsyncClient() as client:
            return await client.post(
                f"{pod.url}/questions",
                json={**QUESTION, "id": id, **changes},
                headers={"Authorization": f"Bearer {token}"},
                timeout=PATIENCE,
            )

    async def read(self, pod: ServedPod, id: str, *, wait: int = 0, token: str = TOKEN) -> httpx.Response:
        """Read a question from a pod."""
        async with httpx.AsyncClient() as client:
            return await client.get(
                f"{pod.url}/questions/{id}?wait={wait}", headers={"Authorization": f"Bearer {token}"}, timeout=70
            )

    async def card(self, number: int = 0, *, channel: str = "C2") -> Message:
        """The card that was posted as the first, second, … one in a channel, once it is there."""
        await self.slack.until(lambda: len(self.slack.messages(channel)) > number)
        return self.slack.messages(channel)[number]

    async def noted_card(self, id: str, number: int = 0) -> Message:
        """The same once the row has it, so that any pod can edit it."""
        card = await self.card(number)
        async with asyncio.timeout(PATIENCE):
            while not (await self.read(self.b, id)).json()["is_posted"]:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)
        return card

    async def shown(
        self, pod: ServedPod, id: str, *, channel: str = "C2", token: str = TOKEN, **changes: object
    ) -> Message:
        """Ask a question through a pod, and return its card once it is there."""
        asked = await self.ask(pod, id, token=token, **changes)
        assert asked.status_code == 201, asked.text
        return await self.card_of(id, channel=channel)

    async def card_of(self, id: str, *, channel: str = "C2", within: float = PATIENCE) -> Message:
        """The card of a question in a channel, once it is there."""
        await self.slack.until(lambda: bool(cards_of(self.slack, id, channel)), within=within)
        (card,) = cards_of(self.slack, id, channel)
        return card

    async def history(self, id: str) -> QuestionHistory:
        """What the database knows of a question."""
        async with open_pool(self.dsn, max_size=1) as pool:
            return await Inspection(pool).history(id)

    async def row(
        self, id: str, condition: Callable[[PendingInteraction], bool] = lambda _: True, *, within: float = PATIENCE
    ) -> PendingInteraction:
        """The row of a question, once it meets a condition. Raises TimeoutError."""
        async with asyncio.timeout(within), open_pool(self.dsn, max_size=1) as pool:
            while True:
                row = await Inspection(pool).get(id)
                if row is not None and condition(row):
                    return row
                await asyncio.sleep(0.05)

    async def noted(self, id: str) -> PendingInteraction:
        """The row once it knows the card, so that any pod can edit it."""
        return await self.row(id, lambda row: row.posted_at is not None)

    async def delivered_once(self, id: str, value: str, *, by: str = "U1", channel: str = "C2") -> QuestionHistory:
        """Wait until a question is answered and all that follows is done, and see that it was done once.

        The row, the trail, the worker's requests (at least one, all under one key) and the card must say the same.
        """
        row = await self.row(
            id, lambda row: row.state is State.CLAIMED and row.posted_at is not None and row.card_due_at is None
        )
        assert (row.outcome, row.answer, row.answered_by) == ("answered", value, by)
        delivered = self.worker.delivered(id)
        assert delivered
        assert {(each.value, each.key) for each in delivered} == {(value, delivered[0].key)}
        cards = cards_of(self.slack, id, channel)
        assert cards
        assert [card.buttons for card in cards] == [()] * len(cards)
        history = await self.history(id)
        steps = [entry.step for entry in history.trail.entries]
        assert (steps.count(Step.ANSWERED), steps.count(Step.DELIVERED)) == (1, 1)
        return history

    async def end_leases(self, id: str) -> None:
        """Let what a pod has leased of a question be due, as it is when half a minute has passed."""
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            await connection.execute(
                """
                update pending_interactions
                set delivery_due_at = case when delivery_due_at > now() then now() else delivery_due_at end,
                    card_due_at = case when card_due_at > now() then now() else card_due_at end,
                    post_due_at = case when post_due_at > now() then now() else post_due_at end,
                    posting_until = case when posting_until > now() then now() else posting_until end
                where id = %(id)s
                """,
                {"id": id},
            )

    async def set_now(self, id: str, moment: str) -> None:
        """Have a moment of the schedule of a question come, once its card is noted: `escalate_at` or `expires_at`."""
        await self.noted(id)
        statement = """
            update pending_interactions
            set {} = now(), post_due_at = case when post_due_at > now() then now() else post_due_at end
            where id = %s
            """
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            await connection.execute(sql.SQL(statement).format(sql.Identifier(moment)), (id,))

    def further(self, text: str | None = None) -> AbstractAsyncContextManager[ServedPod]:
        """One pod more, of the same configuration or another, which the balancer does not know."""
        return served(text or self.text, self.dsn, self.folder)

    def delivered(self) -> list[tuple[str, str]]:
        """The question and the value of each answer that the worker was sent, in order."""
        return [(answer["question_id"], answer["value"]) for answer in map(_body, self.worker.requests)]


def cards_of(slack: FakeSlack, id: str, channel: str = "C2") -> list[Message]:
    """The messages in a channel that are a card of a question, by their metadata, which no edit takes away."""
    return [message for message in slack.messages(channel) if _asked(message) == id]


def _asked(message: Message) -> str | None:
    payload = (message.metadata or {}).get("event_payload")
    return unquote(text_of(payload, "key").rpartition("/")[0]) if isinstance(payload, dict) else None


def _body(request: object) -> dict[str, str]:
    body = getattr(request, "body", b"{}")
    parsed = json.loads(body)
    assert isinstance(parsed, dict)
    return parsed


@asynccontextmanager
async def deployed(
    dsn: str, slack: FakeSlack, worker: AnswerWorker, folder: Path, **more: str
) -> AsyncIterator[Deployment]:
    """Two pods on a database, behind a balancer that is Slack's request URL."""
    text = configuration(slack_url=slack.url, worker_url=worker.url, **more)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(served(text, dsn, folder)) for _ in range(2)]
        balancer = await stack.enter_async_context(balanced(a.target, b.target))
        slack.apps["A1"] = replace(slack.apps["A1"], request_url=f"{balancer.origin}/slack")
        yield Deployment(slack, worker, a, b, balancer, text, dsn, folder)


@pytest.fixture
async def deployment(dsn: str, slack: FakeSlack, worker: AnswerWorker, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployed(dsn, slack, worker, tmp_path) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """A deployment for all tests of a file, each with questions of its own; they run with its loop.

    Neither A nor B ends: a test starts a `further` pod for that.
    """
    folder = tmp_path_factory.mktemp("serve")
    with migrated_database(server_dsn, template) as dsn:
        async with (
            FakeSlack(acme_and_others(SIGNING_SECRET)) as slack,
            taking_answers() as worker,
            deployed(dsn, slack, worker, folder) as running,
        ):
            yield running
