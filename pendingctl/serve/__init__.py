"""A pod over HTTP: `pendingctl serve`. Needs the extra `server`."""

from ..errors import ExtraMissing

try:
    import h11  # noqa: F401
    import prometheus_client  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise ExtraMissing("serve", "server") from error
