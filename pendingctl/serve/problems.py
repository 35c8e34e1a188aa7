"""What a request is refused with: problem details as RFC 9457 has them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import (
    DatabaseFailed,
    InvalidInput,
    KeyReused,
    NotFound,
    PendingctlError,
    RequestRefused,
    ScopeMismatch,
    Unbounded,
)
from .bodies import BodyRefused

# When to try again after the database could not be reached: a failover takes seconds.
RETRY_AFTER_SECONDS = 2

_log = logging.getLogger(__name__)


class Problem(Exception):
    """A request that is refused with a `status`, since `detail`, one line for whoever wrote the client."""

    def __init__(self, status: HTTPStatus, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def application(routes: Sequence[BaseRoute]) -> ASGIApp:
    """Return an application of these routes, which answers all else, and what goes wrong, by problem details.

    No response of it is to be kept by anybody on its way, or to be taken for another type than it states.
    """
    served = Starlette(
        routes=routes, exception_handlers={**dict.fromkeys(_REFUSED, _refuse), Exception: _report_a_fault}
    )
    # Its redirect would lead where the client's own Host says.
    served.router.redirect_slashes = False

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await served(scope, receive, send_guarded)

    return serve


async def _report_a_fault(request: Request, error: Exception) -> JSONResponse:
    """Return the response to a request that a fault of ours has ended; the server logs the fault."""
    del request, error
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault of the pod's; its log has more")


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """Return the response to a request that an error has ended, one of _REFUSED."""
    match error:
        case Problem():
            return _response(error.status, str(error), error.headers)
        case BodyRefused():
            # Closed rather than read to the body's end.
            return _response(error.status, str(error), {"Connection": "close"})
        case HTTPException():
            return _response(HTTPStatus(error.status_code), error.detail, dict(error.headers or {}))
        case KeyReused():
            return _response(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        case ScopeMismatch():
            # Of whom the id is, nobody learns.
            return _response(HTTPStatus.CONFLICT, "this id is taken; ask under another one")
        case RequestRefused():
            return _response(HTTPStatus.CONFLICT, str(error))
        case Unbounded():
            return _response(
                HTTPStatus.BAD_REQUEST,
                "your organization has too many questions to find those of one user; list state=undelivered or "
                "state=stuck, or read them by their ids",
            )
        case InvalidInput():
            return _response(HTTPStatus.BAD_REQUEST, str(error))
        case DatabaseFailed() | NotFound():
            # An organization that is configured and has no row is no mistake of the client's.
            _log.warning("a request of method %s is refused for now: %s", request.method, error)
            return _response(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the database cannot do its part for now; nothing is known to be done, send the request again",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
    raise error


# Anything else is a fault of ours.
_REFUSED = (Problem, HTTPException, PendingctlError)


def _response(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )
