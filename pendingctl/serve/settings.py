"""What `serve` is configured with. Secrets are left out of what is shown of it. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ..limits import Limit
from ..model import SWEEP_LIMIT, Outcome
from ..schedule import MAX_AGE
from ..sse.clients import CLIENTS
from ..trail import TRAIL_KEPT

if TYPE_CHECKING:
    from ..platforms.slack import Confirm


class LogFormat(StrEnum):
    """How a line of the log is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The files of a listener's certificate, with those that it is signed by, and of its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where a listener listens, below which path, and which proxies it believes."""

    host: str
    port: int
    base_path: str
    trusted_proxies: tuple[str, ...]
    tls: Tls | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Where the endings of `outcomes` are delivered to. The URL may have a password in it."""

    url: str = field(repr=False)
    secret: str | None = field(repr=False)
    outcomes: frozenset[Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """How long clicks are still claimed after SIGTERM, and how long all of it may last, the delay included."""

    delay: timedelta = timedelta(seconds=5)
    within: timedelta = timedelta(seconds=25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """How often the cluster sweeps, and what."""

    every: timedelta = timedelta(minutes=5)
    max_age: timedelta = MAX_AGE
    keep_trail: timedelta = TRAIL_KEPT
    limit: int = SWEEP_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many questions an organization may ask over HTTP, and how often a person may press; None: no limit."""

    questions: Limit | None = None
    clicks: Limit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """With which one or two secrets tickets are signed, how long one lasts, and who reads: pages of these origins.

    `clients` are so many at once; `listen_dsn` is where wake-ups are heard, None: where the database is.
    """

    keys: tuple[bytes, ...] = field(repr=False)
    ticket_lifetime: timedelta = timedelta(minutes=10)
    origins: tuple[str, ...] = ()
    clients: int = CLIENTS
    listen_dsn: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """How the log is written; `level` is as the module logging numbers it."""

    format: LogFormat
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One of Slack's apps, and the one or two secrets that it may sign with."""

    id: str
    signing_secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An app as it is installed in the workspace `team_id`, or without one in all of the organization of Slack.

    One of the two is given; beside a workspace the organization says who else is at home there. People of the
    workspaces `allowed_teams` may answer too.
    """

    organization_id: str
    connection_id: str
    app_id: str
    team_id: str | None
    enterprise_id: str | None
    token: str = field(repr=False)
    allowed_teams: frozenset[str]

    @property
    def installed_in(self) -> str:
        """The id of the workspace or the organization of Slack."""
        return self.team_id or self.enterprise_id or ""

    @property
    def home(self) -> frozenset[str]:
        """The ids of both: people of these are named without them."""
        return frozenset(filter(None, (self.team_id, self.enterprise_id)))

    def knows(self, team: str, installed: Container[tuple[str, str]]) -> bool:
        """Whether people of a workspace may answer: they are at home here, allowed, or their workspace has the app too.

        `installed` are the apps with where they are installed.
        """
        return team in self.home or team in self.allowed_teams or (self.app_id, team) in installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """Where Slack is, whether presses are confirmed, and the apps by their ids."""

    base_url: str
    reply_base: str
    confirm: Confirm | None
    apps: Mapping[str, App]


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A tenant: the SHA-256 of each bearer token that it may use over HTTP, and its connections."""

    id: str
    token_digests: tuple[bytes, ...] = field(repr=False)
    connections: tuple[Connection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All that `serve` is given. An empty `dsn` leaves the database to libpq's own variables."""

    application: str
    pod: str
    dsn: str = field(repr=False)
    connections: int
    public: Listener
    public_url: str | None
    internal: Listener
    worker: Worker | None
    shutdown: Shutdown
    sweep: Sweep | None
    limits: Limits
    streams: Streams | None
    logs: Logs
    slack: Slack
    organizations: Mapping[str, Organization]

    @property
    def max_age(self) -> timedelta:
        """The age at which a question without a deadline is stale, also where `pendingctl sweep` deletes it."""
        return (self.sweep or Sweep()).max_age
