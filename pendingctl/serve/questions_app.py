"""The internal application: questions asked and read by other programs, and what operators' tools look at.

Its OpenAPI document is openapi.json beside this file.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from importlib.resources import files

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import InvalidInput
from ..inspected import PendingInteraction, State
from ..logged import about
from ..model import NEW_ASKINGS, Withdrawal
from ..payload import JsonValue, check_id
from ..pod.bridge import InteractionBridge
from ..store import PendingStore
from ..store.filters import Cursor, Filters
from ..store.inspection import Inspection
from .bodies import read_body
from .callers import Callers
from .limits import ServedLimits
from .metrics import Metrics
from .problems import Problem, application
from .question_requests import asked_by, check_escalation, check_people, shown_question, shown_summary
from .readiness import Readiness
from .settings import Configuration, Organization
from .waiting import Waiting

MOST_BODY_BYTES = 1024 * 1024
BODY_SECONDS = 10.0
MOST_WAIT_SECONDS = 60
PAGE = 100


class _IdConvertor(StringConvertor):
    """An id in a path: any text, slashes and line ends included."""

    regex = r"[\s\S]*"


register_url_convertor("question_id", _IdConvertor())


def connections_of_reads(connections: int) -> int:
    """Return how many of a pool's connections reads share; the others are left to clicks.

    One organization has one less: otherwise the reads of one, while they hang, would keep those of all others waiting.
    """
    return max(2, connections // 3)


class QuestionsApp:
    """The internal application of one pod.

    Whose questions a client may ask and read its bearer token says, and nothing else in a request. `more_routes` are
    of what else programs use.
    """

    def __init__(
        self,
        configuration: Configuration,
        bridge: InteractionBridge,
        store: PendingStore,
        inspection: Inspection,
        *,
        waiting: Waiting,
        limits: ServedLimits,
        readiness: Readiness,
        metrics: Metrics,
        more_routes: Sequence[Route] = (),
    ) -> None:
        self._application = configuration.application
        self._max_age = configuration.max_age
        self._installed = frozenset(
            (each.app_id, each.installed_in) for of in configuration.organizations.values() for each in of.connections
        )
        self._bridge = bridge
        self._store = store
        self._inspection = inspection
        self._waiting = waiting
        self._limits = limits
        self._readiness = readiness
        self._metrics = metrics
        self._callers = Callers(
            configuration.organizations.values(), at_once=connections_of_reads(configuration.connections) - 1
        )
        self.asgi = application(
            [
                # One route, since of several a 405 would name the first one's methods alone.
                Route("/questions", self._list_or_ask, methods=["GET", "POST"]),
                Route("/questions/{id:question_id}/withdraw", self._withdraw, methods=["POST"]),
                Route("/questions/{id:question_id}", self._show, methods=["GET"]),
                *more_routes,
                Route("/openapi.json", self._describe, methods=["GET"]),
                Route("/healthz", self._health, methods=["GET"]),
                Route("/readyz", self._ready, methods=["GET"]),
                Route("/metrics", self._expose, methods=["GET"]),
            ]
        )

    async def _list_or_ask(self, request: Request) -> Response:
        return await (self._ask(request) if request.method == "POST" else self._list(request))

    async def _ask(self, request: Request) -> Response:
        organization = self._callers.organization(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the question as application/json")
        with self._callers.holding(organization) as hold:
            body = await read_body(request, most=MOST_BODY_BYTES, within=BODY_SECONDS, hold=hold)
        keys = request.headers.getlist("idempotency-key")
        if len(keys) > 1:
            raise Problem(HTTPStatus.BAD_REQUEST, "send one Idempotency-Key")
        asked = asked_by(organization.id, self._application, body, keys[0] if keys else None)
        question = asked.question
        connection_id = question.scope.connection_id
        connection = next((each for each in organization.connections if each.connection_id == connection_id), None)
        if connection is None or asked.application not in (None, self._application):
            raise Problem(
                HTTPStatus.NOT_FOUND, "this connection, or this application, is not configured for your organization"
            )
        check_people(question, connection, self._installed)
        check_escalation(question, self._max_age)
        decision = await self._limits.question(organization.id)
        headers = {} if decision is None else decision.headers("questions")
        if decision is not None and not decision.allowed:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "your organization has asked more questions than its limit allows; try again later",
                **headers,
            )
        with about(organization=organization.id, question=question.id):
            async with self._callers.turn(organization):
                stored = await self._bridge.store(
                    question, request_key=asked.request_key, request_digest=asked.request_digest
                )
        if stored is None:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "this pod closes; send the request again", retry_after="1")
        self._metrics.question(stored.outcome)
        return JSONResponse(
            {"question_id": stored.id, "ask_number": stored.ask_number, "outcome": stored.outcome},
            status_code=HTTPStatus.CREATED if stored.outcome in NEW_ASKINGS else HTTPStatus.OK,
            headers=headers,
        )

    async def _show(self, request: Request) -> Response:
        organization = self._callers.organization(request)
        seconds = _wait_of(request)
        row = await self._row(organization, request)
        if row.outcome is None and seconds:
            await _unless_gone(request, self._waiting.until_ended(organization.id, row.id, seconds))
            row = await self._row(organization, request)
        return JSONResponse(shown_question(row))

    async def _list(self, request: Request) -> Response:
        organization = self._callers.organization(request)
        query = _query(request, "for", "state", "after")
        user_id = query.get("for")
        if user_id is None:
            raise Problem(HTTPStatus.BAD_REQUEST, "name the user whose questions are meant: ?for=USER")
        check_id(user_id, "the user's id")
        filters = Filters(
            organization_id=organization.id,
            expected_user_id=user_id,
            application=self._application,
            state=_state(query.get("state")),
        )
        after = Cursor.parse(query["after"]) if "after" in query else None
        async with self._callers.turn(organization):
            page = await self._inspection.page(filters, after=after, limit=PAGE, max_age=self._max_age)
        connections = _connections(organization)
        rows: list[JsonValue] = [shown_summary(row) for row in page.rows if row.connection_id in connections]
        return JSONResponse({"questions": rows, "after": None if page.after is None else str(page.after)})

    async def _withdraw(self, request: Request) -> Response:
        organization = self._callers.organization(request)
        row = await self._row(organization, request)
        with about(organization=organization.id, question=row.id):
            async with self._callers.turn(organization):
                withdrawal = await self._store.withdraw(row.id, row.scope)
        match withdrawal:
            case Withdrawal.WITHDRAWN | Withdrawal.ALREADY_WITHDRAWN:
                return JSONResponse({"question_id": row.id, "outcome": withdrawal})
            case Withdrawal.ALREADY_ANSWERED:
                raise Problem(HTTPStatus.CONFLICT, "the question was answered before; nothing was withdrawn")
            case Withdrawal.ALREADY_EXPIRED:
                raise Problem(HTTPStatus.CONFLICT, "the question has expired before; nothing was withdrawn")
            case Withdrawal.UNKNOWN:
                raise _no_such_question()

    async def _row(self, organization: Organization, request: Request) -> PendingInteraction:
        """Return the row that a path names. What is another organization's, or application's, is not there."""
        id = request.path_params["id"]
        try:
            check_id(id, "the question's id")
        except InvalidInput:
            raise _no_such_question() from None
        async with self._callers.turn(organization):
            row = await self._inspection.get(id, max_age=self._max_age)
        if (
            row is None
            or row.organization_id != organization.id
            or row.application != self._application
            or row.connection_id not in _connections(organization)
        ):
            raise _no_such_question()
        return row

    async def _describe(self, request: Request) -> Response:
        del request
        return Response(_openapi(), media_type="application/json")

    async def _health(self, request: Request) -> Response:
        del request
        return JSONResponse({"status": "alive"})

    async def _ready(self, request: Request) -> Response:
        del request
        state = self._readiness.state()
        return JSONResponse(
            state.as_json(), status_code=HTTPStatus.OK if state.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        )

    async def _expose(self, request: Request) -> Response:
        body, content_type = self._metrics.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})


def _connections(organization: Organization) -> frozenset[str]:
    return frozenset(connection.connection_id for connection in organization.connections)


def _query(request: Request, *names: str) -> Mapping[str, str]:
    """Return the parameters of a request's query. Raises Problem for one that is unknown or comes twice."""
    given = request.query_params.multi_items()
    for name, _ in given:
        if name not in names:
            raise Problem(HTTPStatus.BAD_REQUEST, f"there is no parameter {name[:80]!r}; there is {', '.join(names)}")
    if len(given) > len(dict(given)):
        raise Problem(HTTPStatus.BAD_REQUEST, "a parameter comes twice")
    return dict(given)


def _wait_of(request: Request) -> int:
    wait = _query(request, "wait").get("wait", "0")
    if not re.fullmatch("[0-9]{1,3}", wait) or int(wait) > MOST_WAIT_SECONDS:
        raise Problem(HTTPStatus.BAD_REQUEST, f"'wait' is in seconds, {MOST_WAIT_SECONDS} at most")
    return int(wait)


async def _unless_gone(request: Request, work: Coroutine[object, object, None]) -> None:
    """Await work that nobody but the client wants; uvicorn does not end it when the client goes away."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        leaving.cancel()


def _state(name: str | None) -> State | None:
    try:
        return None if name is None else State(name)
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, f"'state' is one of {', '.join(State)}") from None


def _no_such_question() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "your organization has no such question here")


@cache
def _openapi() -> bytes:
    return files(__package__).joinpath("openapi.json").read_bytes()
