"""The try-out of `pendingctl serve` on loopback, with a Slack of its own. Needs the extras `server` and `embedded`."""

from ..errors import ExtraMissing

try:
    import aiohttp  # noqa: F401
except ImportError as error:
    raise ExtraMissing("serve --demo", "server,embedded") from error
