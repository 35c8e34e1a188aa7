"""The configuration of `serve`: one TOML file, read and checked as a whole. `example.toml` explains each key."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..errors import InvalidInput
from ..limits import Limit
from ..model import ANSWERS
from ..postgres.environment import dsn_of
from ..printable import printable
from ..words import in_one_unit
from . import values
from .settings import (
    App,
    Configuration,
    Connection,
    Limits,
    Listener,
    LogFormat,
    Logs,
    Organization,
    Shutdown,
    Slack,
    Streams,
    Sweep,
    Tls,
    Worker,
)
from .toml_tables import Source, Table, TomlValue, duration, read_toml, text, unexpected, whole_number

if TYPE_CHECKING:
    from ..platforms.slack import Confirm

__all__ = [
    "App",
    "Configuration",
    "Connection",
    "Limits",
    "Listener",
    "LogFormat",
    "Logs",
    "Organization",
    "Shutdown",
    "Slack",
    "Streams",
    "Sweep",
    "Tls",
    "Worker",
    "load",
    "problems",
    "secrets_of",
]

# What is left to stop in after the delay: the last clicks are acknowledged after 2.5 s at the latest, then replied to.
LEAST_AFTER_DELAY = timedelta(seconds=4)


def load(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Return the configuration of a file; `environ` holds the variables that it names.

    Raises InvalidInput with the first of its problems, and how many there are more. No secret is in it.
    """
    configuration, found = _read(path, environ)
    if configuration is not None:
        return configuration
    more = f" (and {len(found) - 1} more: pendingctl serve --check)" if len(found) > 1 else ""
    raise InvalidInput(found[0] + more)


def problems(path: Path, environ: Mapping[str, str]) -> list[str]:
    """Return all that is wrong with a file, a line for each; none for one that `load` takes."""
    return _read(path, environ)[1]


def secrets_of(configuration: Configuration) -> frozenset[str]:
    """Return every secret of a configuration, and each form in which an error may quote it."""
    found = {
        each.token for organization in configuration.organizations.values() for each in organization.connections
    } | {secret.decode() for app in configuration.slack.apps.values() for secret in app.signing_secrets}
    found |= _passwords_of(configuration.dsn)
    if configuration.worker is not None:
        worker = urlsplit(configuration.worker.url)
        # A user without a password is a token.
        in_url = (worker.password or worker.username or "", worker.query)
        found |= {each for each in (*in_url, *map(unquote, in_url), configuration.worker.secret) if each}
    if (streams := configuration.streams) is not None:
        found |= {key.decode() for key in streams.keys}
        found |= set() if streams.listen_dsn is None else _passwords_of(streams.listen_dsn)
    return frozenset(found)


def _passwords_of(dsn: str) -> set[str]:
    from ..postgres.dsn import check_dsn

    parts = check_dsn(dsn)
    as_libpq_reads = {parts[name] for name in ("password", "sslpassword") if parts.get(name)}
    try:
        as_written = urlsplit(dsn).password
    except ValueError:
        as_written = None
    return as_libpq_reads | ({as_written} if as_written else set())


def _read(path: Path, environ: Mapping[str, str]) -> tuple[Configuration | None, list[str]]:
    source = Source(path.parent, environ)
    configuration = None
    try:
        content = read_toml(path)
    except ValueError as error:
        source.problems.append(printable(error))
    else:
        with Table(source, content) as top:
            configuration = _configuration(top, environ)
    return (None if source.problems else configuration), [f"{printable(path)}: {each}" for each in source.problems]


def _configuration(top: Table, environ: Mapping[str, str]) -> Configuration:
    application = top.read("application", values.application, "")
    pod = top.read("pod", values.pod, socket.gethostname())
    with top.table("database") as database:
        dsn, connections = _dsn(database, environ), database.read("connections", whole_number(3), 10)
    with top.table("public", is_required=True) as table:
        public, public_url = _listener(table), table.read("url", values.public_url, None)
    with top.table("internal", is_required=True) as table:
        internal = _listener(table)
        if _overlap(public, internal):
            table.report("listen", "is the address of the public listener; give it another port")
    worker = _worker(top)
    with top.table("shutdown") as table:
        shutdown = _shutdown(table)
    sweep = _sweep(top)
    with top.table("limits") as table:
        limits = Limits(questions=_limit(table, "questions"), clicks=_limit(table, "clicks"))
    streams = _streams(top)
    with top.table("logs") as table:
        logs = Logs(
            format=table.read("format", lambda value: LogFormat(values.one_of(value, (*LogFormat,))), LogFormat.TEXT),
            level=table.read("level", values.log_level, values.log_level("info")),
        )
    with top.table("slack") as table:
        slack = _slack(table)
    with top.table("organizations", is_required=True) as table:
        organizations = _organizations(table, slack.apps)
    if top.find("organizations") == {}:
        top.report("organizations", "names none; add one, as organizations.acme")
    return Configuration(
        application=application,
        pod=pod,
        dsn=dsn,
        connections=connections,
        public=public,
        public_url=public_url,
        internal=internal,
        worker=worker,
        shutdown=shutdown,
        sweep=sweep,
        limits=limits,
        streams=streams,
        logs=logs,
        slack=slack,
        organizations=organizations,
    )


def _checked_dsn(dsn: str) -> str:
    from ..postgres.dsn import check_dsn

    if dsn == "embedded" or dsn.startswith("embedded:"):
        raise InvalidInput("the local server is for commands on one machine; give a libpq connection string")
    check_dsn(dsn)
    return dsn


def _dsn(table: Table, environ: Mapping[str, str]) -> str:
    if "dsn" in table:
        return table.read("dsn", lambda value: _checked_dsn(table.secret(value)), "")
    table.find("dsn")
    named = dsn_of(environ)
    if named is None:
        ways = "PENDINGCTL_DSN, DATABASE_URL or libpq's PGHOST, PGSERVICE or PGDATABASE"
        table.report("dsn", f"no database is named; set it, or {ways}")
        return ""
    try:
        return _checked_dsn(named[0])
    except InvalidInput as error:
        table.report("dsn", f"as {named[1]} has it: {error}")
        return ""


def _listener(table: Table) -> Listener:
    host, port = table.read("listen", values.listen_address, ("", 0), is_required=True)
    return Listener(
        host=host,
        port=port,
        base_path=table.read("base_path", values.base_path, ""),
        trusted_proxies=table.read_list("trusted_proxies", values.proxy),
        tls=None if table.find("tls") is None else _tls(table),
    )


def _tls(listener: Table) -> Tls | None:
    with listener.table("tls") as table:
        certificate = table.read("certificate", table.file, None, is_required=True)
        key = table.read("key", table.file, None, is_required=True)
        if certificate is None or key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_verify_locations(certificate)
        except (ssl.SSLError, OSError):
            table.report("certificate", f"the file {certificate} holds no certificate in PEM")
            return None
        try:
            # Without a password the library asks the terminal for that of an encrypted key.
            context.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, OSError):
            table.report("key", f"the file {key} holds no key of this certificate in PEM, or one that is encrypted")
        return Tls(certificate=certificate, key=key)


def _overlap(one: Listener, other: Listener) -> bool:
    """Whether the system would refuse the second address, as far as can be seen without looking names up."""
    if one.port != other.port or one.port == 0:
        return False
    hosts = {one.host, other.host}
    return len(hosts) == 1 or bool(hosts & {"0.0.0.0", "::"})


def _worker(top: Table) -> Worker | None:
    from ..sinks.http import worker_url
    from ..sinks.signature import signing_key

    if top.find("worker") is None:
        return None
    with top.table("worker") as table:

        def url(value: TomlValue) -> str:
            worker_url(given := table.secret(value))
            return given

        def secret(value: TomlValue) -> str:
            signing_key(given := table.secret(value))
            return given

        has_outcomes = "outcomes" in table
        outcomes = table.read_list("outcomes", values.outcome, least=1 if has_outcomes else 0)
        return Worker(
            url=table.read("url", url, "", is_required=True),
            secret=table.read("secret", secret, None),
            outcomes=frozenset(outcomes) if has_outcomes else ANSWERS,
        )


def _shutdown(table: Table) -> Shutdown:
    usual = Shutdown()
    delay, within = table.read("delay", duration, usual.delay), table.read("within", duration, usual.within)
    if within < delay + LEAST_AFTER_DELAY:
        table.report(
            "within",
            f"must be above the delay of {in_one_unit(delay)} by {in_one_unit(LEAST_AFTER_DELAY)} or more: the clicks "
            "that come last are replied to in it",
        )
    return Shutdown(delay=delay, within=within)


def _sweep(top: Table) -> Sweep | None:
    given, usual = top.find("sweep"), Sweep()
    if given is False:
        return None
    if given is not None and not isinstance(given, Mapping):
        top.report("sweep", unexpected("false or a table", given))
        return None
    with top.table("sweep") as table:
        return Sweep(
            every=table.read("every", duration, usual.every),
            max_age=table.read("max_age", duration, usual.max_age),
            keep_trail=table.read("keep_trail", duration, usual.keep_trail),
            limit=table.read("limit", whole_number(1), usual.limit),
        )


def _limit(limits: Table, key: str) -> Limit | None:
    if limits.find(key) is None:
        return None
    with limits.table(key) as table:
        rate = table.read("rate", whole_number(1), None, is_required=True)
        per = table.read("per", duration, None, is_required=True)
        burst = table.read("burst", whole_number(1), rate)
    if rate is None or per is None or burst is None:
        return None
    return limits.read(key, lambda _: Limit(rate, per, burst), None)


def _streams(top: Table) -> Streams | None:
    if top.find("streams") is None:
        return None
    with top.table("streams") as table:
        keys = table.read_list("keys", lambda value: values.stream_key(table.secret(value)), least=1, most=2)
        usual = Streams(keys=keys)
        return Streams(
            keys=keys,
            ticket_lifetime=table.read("ticket_lifetime", duration, usual.ticket_lifetime),
            origins=table.read_list("origins", values.origin),
            clients=table.read("clients", whole_number(1), usual.clients),
            listen_dsn=table.read("listen_dsn", lambda value: _checked_dsn(table.secret(value)), None),
        )


def _slack(table: Table) -> Slack:
    from ..platforms.slack.calls import checked_base_url
    from ..platforms.slack.clicks import REPLY_BASE, checked_reply_base
    from ..platforms.slack.platform import BASE_URL

    apps = {}
    with table.table("apps") as every_app:
        for id in every_app.names(values.app_id):
            with every_app.table(id) as app:
                secrets = app.read_list("signing_secrets", _signing_secret(app), least=1, most=2)
            apps[id] = App(id=id, signing_secrets=secrets)
    return Slack(
        base_url=table.read("base_url", lambda value: checked_base_url(text(value)), BASE_URL),
        reply_base=table.read("reply_base", lambda value: checked_reply_base(text(value)), REPLY_BASE),
        confirm=_confirm(table),
        apps=apps,
    )


def _signing_secret(app: Table) -> Callable[[TomlValue], bytes]:
    return lambda value: values.signing_secret(app.secret(value))


def _confirm(slack: Table) -> Confirm | None:
    from ..platforms.slack import Confirm

    given = slack.find("confirm")
    if given is None or given is False:
        return None
    usual = Confirm()
    if given is True:
        return usual
    if not isinstance(given, Mapping):
        slack.report("confirm", unexpected("true, false or a table", given))
        return None
    with slack.table("confirm") as table:
        words = {key: table.read(key, text, getattr(usual, key)) for key in ("title", "confirm", "deny")}
    return slack.read("confirm", lambda _: Confirm(**words), None)


def _organizations(table: Table, apps: Mapping[str, App]) -> Mapping[str, Organization]:
    organizations = {}
    # The key that has a token, or an app in a workspace or an organization of Slack: a request must lead to one. And
    # that which has a bot's token, since that posts in one workspace.
    owners: dict[object, str] = {}
    for id in table.names(values.identifier):
        with table.table(id) as organization:
            digests = organization.read_list("token_sha256", values.token_digest, most=2)
            for digest in digests:
                if digest in owners:
                    organization.report("token_sha256", f"a token is also that of {owners[digest]}")
                owners[digest] = organization.path
            with organization.table("connections") as connections:
                read = [
                    _connection(connections, id, name, apps, owners) for name in connections.names(values.identifier)
                ]
        organizations[id] = Organization(id=id, token_digests=digests, connections=tuple(read))
    return organizations


def _connection(
    connections: Table, organization_id: str, id: str, apps: Mapping[str, App], owners: dict[object, str]
) -> Connection:
    with connections.table(id) as table:
        connection = Connection(
            organization_id=organization_id,
            connection_id=id,
            app_id=table.read("app", values.app_id, "", is_required=True),
            team_id=table.read("team", values.team_id, None),
            enterprise_id=table.read("enterprise", values.enterprise_id, None),
            token=table.read("token", lambda value: values.bot_token(table.secret(value)), "", is_required=True),
            allowed_teams=frozenset(table.read_list("allowed_teams", values.team_id)),
        )
        if connection.app_id and connection.app_id not in apps:
            table.report("app", f"there is no app {connection.app_id} among slack.apps; add its signing secret there")
        if "team" not in table and "enterprise" not in table:
            table.report("team", "is missing; name the workspace, or the enterprise of an install for all of it")
        if connection.token and (owner := owners.setdefault(connection.token, table.path)) != table.path:
            table.report("token", f"is also that of {owner}, where it would post; each workspace has its own")
        installation = (connection.app_id, connection.installed_in)
        if all(installation) and (owner := owners.setdefault(installation, table.path)) != table.path:
            key = "team" if connection.team_id else "enterprise"
            table.report(key, f"a press in {installation[1]} would lead to {owner} as well; an app is in it once")
    return connection
