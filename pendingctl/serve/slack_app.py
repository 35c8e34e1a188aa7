"""The public application: presses of buttons, as Slack delivers them.

A press is claimed, then acknowledged, and then answered by its response_url: Slack waits 3 s for the acknowledgement
alone (docs.slack.dev, "Handling user interaction"), and shows an error after that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..logged import about
from ..model import Click
from ..platforms import ENGLISH, Sentence
from ..platforms.slack import NotOurs, Press, SlackPlatform, is_signed, parse_press
from ..pod.background import Background
from ..pod.bridge import InteractionBridge
from ..pod.replies import Reply, cannot_serve
from .bodies import read_body
from .limits import ServedLimits
from .metrics import Metrics
from .problems import application
from .settings import App, Connection, Slack

MOST_BODY_BYTES = 1024 * 1024
# Slack's own requests are there at once; the rest of its 3 s is for the claim.
BODY_SECONDS = 2.0
# From a request's arrival to its acknowledgement, however long the claim takes; half a second is for the way.
ACKNOWLEDGE_SECONDS = 2.5
# The acknowledgement goes first: a reply that begins at once stands in its way.
REPLY_AFTER_SECONDS = 0.005
# Of one organization. Whoever presses beyond these is asked to press again: each waits for the database.
MOST_CLAIMS = 500
# When a pod ends presses are decided until so long before its end, which is left to their replies.
REPLIES_SECONDS = 2.0
# Of one organization. Beyond these a reply is left out, while Slack is slow: what became of the press its card shows.
MOST_REPLIES = 500

_CANNOT_SERVE = cannot_serve(ENGLISH)

_log = logging.getLogger(__name__)


class SlackApp:
    """The public application of one pod, for the apps of Slack that are configured."""

    def __init__(
        self,
        slack: Slack,
        connections: Iterable[Connection],
        bridge: InteractionBridge,
        platform: SlackPlatform,
        limits: ServedLimits,
        metrics: Metrics,
    ) -> None:
        self._apps: Mapping[str, App] = slack.apps
        self._reply_base = slack.reply_base
        self._installed = {(each.app_id, each.installed_in): each for each in connections}
        self._bridge = bridge
        self._platform = platform
        self._limits = limits
        self._metrics = metrics
        self._claims = Background()
        self._claims_of = Counter[str]()
        self._replies = Background()
        self._replies_of = Counter[str]()
        self.asgi = application([Route("/slack", self._pressed, methods=["POST"])])

    async def drain(self, until: float) -> None:
        """Wait for the presses that are under way and their replies; give up what is left at `until` (monotonic).

        Whoever has pressed what is not decided shortly before that is asked to press again, which another pod serves.
        """
        left = until - time.monotonic()
        await self._claims.drain(until - min(REPLIES_SECONDS, left / 2))
        await self._replies.drain(until)

    async def _pressed(self, request: Request) -> Response:
        arrived = time.monotonic()
        body = await read_body(request, most=MOST_BODY_BYTES, within=BODY_SECONDS)
        signed_by = self._signed_by(request, body)
        if not signed_by:
            self._metrics.press("unsigned")
            return Response(status_code=HTTPStatus.UNAUTHORIZED)
        press = parse_press(body, reply_base=self._reply_base)
        if isinstance(press, NotOurs):
            self._metrics.press(press.kind)
            return Response()
        if press.app_id not in signed_by:
            # Another app's secret opens nothing of this one's.
            self._metrics.press("unsigned")
            return Response(status_code=HTTPStatus.UNAUTHORIZED)
        claim = self._claims.start(self._claim(press), f"press on {press.question_id!r}")
        await asyncio.wait([claim], timeout=arrived + ACKNOWLEDGE_SECONDS - time.monotonic())
        self._metrics.acknowledged(time.monotonic() - arrived, is_decided=claim.done())
        return Response()

    def _signed_by(self, request: Request, body: bytes) -> frozenset[str]:
        """Return the ids of the apps whose secret has signed a body."""
        timestamp, signature = _only(request, "x-slack-request-timestamp"), _only(request, "x-slack-signature")
        now = time.time()
        return frozenset(
            app.id
            for app in self._apps.values()
            if is_signed(body, timestamp=timestamp, signature=signature, secrets=app.signing_secrets, now=now)
        )

    async def _claim(self, press: Press) -> None:
        """Claim, and leave the reply to the background."""
        connection = self._connection(press)
        with about(
            organization=None if connection is None else connection.organization_id,
            question=press.question_id,
            press=press.delivery_key,
        ):
            if connection is None or not connection.knows(press.user_team_id, self._installed):
                # A stranger learns of a question no more than of one that is not there.
                kind = "unknown_installation" if connection is None else "stranger"
                said = Sentence(words=ENGLISH.reply_unknown_or_expired)
            else:
                kind, said = await self._outcome(press, connection)
            self._metrics.press(kind)
            _log.info("press: %s", kind)
            if self._replies_of[_owner(connection)] >= MOST_REPLIES:
                self._metrics.reply_failed()
                return
            self._replies.leave(self._reply(press, connection, said), f"reply to a press on {press.question_id!r}")

    async def _outcome(self, press: Press, connection: Connection) -> tuple[str, Sentence]:
        """Return what became of a press, as it is counted, and what is said of it."""
        organization_id = connection.organization_id
        if self._claims_of[organization_id] >= MOST_CLAIMS:
            return _outcome_of(_CANNOT_SERVE)
        self._claims_of[organization_id] += 1
        try:
            decision = await self._limits.click(organization_id, f"{press.user_team_id}:{press.user_id}")
            if decision is not None and not decision.allowed:
                return "limited", Sentence(words=ENGLISH.reply_limited)
            return _outcome_of(await self._click(press, connection))
        except Exception:  # noqa: BLE001 (a press is replied to whatever fails)
            _log.exception("a press could not be claimed")
            return _outcome_of(_CANNOT_SERVE)
        except asyncio.CancelledError:
            # By `drain`: the claim itself is the bridge's, and what becomes of it pressing again tells.
            return _outcome_of(_CANNOT_SERVE)
        finally:
            self._claims_of[organization_id] -= 1

    async def _click(self, press: Press, connection: Connection) -> Reply:
        return await self._bridge.click(
            Click(
                question_id=press.question_id,
                ask_number=press.ask_number,
                option=press.option,
                organization_id=connection.organization_id,
                connection_id=connection.connection_id,
                user_id=press.user_of(connection.home),
                delivery_key=press.delivery_key,
            ),
            card=press.card,
        )

    async def _reply(self, press: Press, connection: Connection | None, said: Sentence) -> None:
        self._replies_of[_owner(connection)] += 1
        try:
            await asyncio.sleep(REPLY_AFTER_SECONDS)
            await self._platform.reply(
                press,
                said,
                organization_id=None if connection is None else connection.organization_id,
                connection_id=None if connection is None else connection.connection_id,
            )
        except Exception as error:  # noqa: BLE001 (whatever Slack or the network does, the press is decided)
            self._metrics.reply_failed()
            _log.warning("a press was not replied to: %s", error)
        finally:
            self._replies_of[_owner(connection)] -= 1

    def _connection(self, press: Press) -> Connection | None:
        """Return where a press belongs: the app's installation in the workspace, or in its whole organization."""
        for team in filter(None, (press.team_id, press.enterprise_id)):
            if found := self._installed.get((press.app_id, team)):
                return found
        return None


def _outcome_of(reply: Reply) -> tuple[str, Sentence]:
    return reply.kind, reply.said


def _owner(connection: Connection | None) -> str:
    """Return whose press it is; those that belong to no connection are one party."""
    return "" if connection is None else connection.organization_id


def _only(request: Request, name: str) -> str | None:
    values = request.headers.getlist(name)
    return values[0] if len(values) == 1 else None
