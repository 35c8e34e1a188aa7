"""What a request is refused with: problem details as RFC 9457 has them."""

from __future__ import annotations

import logging
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from ..errors import (
    DatabaseFailed,
    InvalidInput,
    KeyReused,
    NotFound,
    PendingctlError,
    RequestRefused,
    ScopeMismatch,
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


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """Return the response to a request that an error has ended, one of REFUSED."""
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


# What an application has `refuse` answer. Anything else is a fault of ours, which the server logs.
REFUSED = (Problem, HTTPException, PendingctlError)


def _response(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )
