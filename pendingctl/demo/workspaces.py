"""Who is in the demo's Slack: workspaces and organizations of them, people, apps and channels."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from .messages import Message, Reply

SCOPES = frozenset({"chat:write", "im:write", "channels:history", "groups:history", "im:history"})


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace (T…), which may belong to an organization of Slack (E…)."""

    id: str
    name: str
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, whose id is unique only with `team`: a workspace, or an organization of Slack.

    A guest sees no channel but those that they were asked into, and nothing in a press says that they are one.
    """

    id: str
    name: str
    team: str
    is_guest: bool = False

    @property
    def key(self) -> str:
        return f"{self.team}:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app of Slack, and where presses of its buttons are sent."""

    id: str
    signing_secret: str = field(repr=False, default_factory=lambda: secrets.token_hex(16))
    request_url: str | None = None
    verification_token: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(18))


@dataclass(frozen=True, slots=True)
class Installation:
    """What a token stands for: an app in a workspace, or without a `team` in all of an organization of Slack.

    `error` is what each call with the token is answered, if anything.
    """

    team: str | None
    bot: str
    app: str = "A1"
    organization: str | None = None
    scopes: frozenset[str] = SCOPES
    error: str | None = None

    @property
    def bot_user(self) -> str:
        return f"U{self.bot}"


@dataclass
class Channel:
    """A conversation with its messages by their time. One of several workspaces is shared (Slack Connect).

    `members` are keys of people, and `bots` the ids of the bots that are in it.
    """

    id: str
    name: str
    teams: frozenset[str]
    members: set[str] = field(default_factory=set)
    bots: set[str] = field(default_factory=set)
    is_private: bool = False
    is_archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)

    @property
    def is_direct(self) -> bool:
        return self.id.startswith("D")


class Workspaces:
    """All that the demo's Slack knows, and the one place where it changes."""

    def __init__(self) -> None:
        self.workspaces: dict[str, Workspace] = {}
        self.people: dict[str, Person] = {}
        self.apps: dict[str, App] = {}
        self.installations: dict[str, Installation] = {}
        self.channels: dict[str, Channel] = {}
        self.replies: list[Reply] = []
        self._messages = 0

    def add_workspace(self, workspace: Workspace, people: Iterable[Person]) -> None:
        self.workspaces[workspace.id] = workspace
        self.people |= {person.key: person for person in people}

    def add_channel(self, channel: Channel) -> None:
        """Add a channel, with the bots of its workspaces, and with their people but guests if it names none."""
        channel.bots |= {each.bot for each in self.installations.values() if channel.teams & self.teams_of(each)}
        if not channel.members:
            channel.members |= {
                person.key
                for person in self.people.values()
                if not person.is_guest and channel.teams & self._homes_of(person)
            }
        self.channels[channel.id] = channel

    def person(self, name: str) -> Person:
        """Return the person whose key `T1:U1` or whose id this is. Raises LookupError where no one person is meant."""
        found = [person for person in self.people.values() if name in (person.key, person.id)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} people are called {name!r}; name one as TEAM:USER")
        return found[0]

    def teams_of(self, installation: Installation) -> frozenset[str]:
        """Return the workspaces in which a token works."""
        if installation.team is not None:
            return frozenset({installation.team})
        if installation.organization is None:
            return frozenset()
        return frozenset(each.id for each in self.workspaces.values() if each.organization == installation.organization)

    def installation_of(self, bot: str) -> Installation:
        """Return the installation that posts as this bot. Raises LookupError."""
        for each in self.installations.values():
            if each.bot == bot:
                return each
        raise LookupError(f"no app posts as {bot}")

    def direct_messages(self, installation: Installation, person: Person) -> Channel:
        """Return the direct messages of a bot and a person, which nobody else sees; opened if they are not."""
        members, bots = {person.key}, {installation.bot}
        direct = [each for each in self.channels.values() if each.is_direct]
        for channel in direct:
            if (channel.members, channel.bots) == (members, bots):
                return channel
        id = f"D{person.id}" if f"D{person.id}" not in self.channels else f"D{person.id}{len(direct)}"
        teams = self._homes_of(person) | self.teams_of(installation)
        self.channels[id] = Channel(id, "directmessage", teams, members, bots, is_private=True)
        return self.channels[id]

    def next_ts(self) -> str:
        """Return the time of the next message, which no other has."""
        self._messages += 1
        return f"{int(time.time())}.{self._messages:06d}"

    def _homes_of(self, person: Person) -> frozenset[str]:
        return frozenset(each.id for each in self.workspaces.values() if person.team in (each.id, each.organization))


def acme_and_others(signing_secret: str | None = None) -> Workspaces:
    """Return the workspaces T1 and T2, and T3 and T4 of the organization E1, in which the app A1 is installed.

    Their tokens are xoxb-acme, xoxb-globex and xoxb-initech. C2 and C7 are acme's, C9 globex's, C3 of T3 and T4; C1 is
    shared by acme and globex, and U4, a guest of acme, is in no other. Without a `signing_secret` A1 has one that
    nobody can guess.
    """
    known = Workspaces()
    known.add_workspace(
        Workspace("T1", "acme"),
        [
            Person("U1", "alice", "T1"),
            Person("U2", "bob", "T1"),
            Person("U4", "dana", "T1", is_guest=True),
            Person("U5", "erin", "T1"),
            Person("W5", "frank", "T1"),
        ],
    )
    known.add_workspace(Workspace("T2", "globex"), [Person("U7", "gail", "T2")])
    known.add_workspace(Workspace("T3", "initech-one", "E1"), [Person("U8", "hana", "T3"), Person("W9", "ivan", "E1")])
    known.add_workspace(Workspace("T4", "initech-two", "E1"), [])
    known.apps["A1"] = App(id="A1", signing_secret=signing_secret) if signing_secret else App(id="A1")
    known.installations |= {
        "xoxb-acme": Installation("T1", "B1"),
        "xoxb-globex": Installation("T2", "B2"),
        "xoxb-initech": Installation(None, "B3", organization="E1"),
    }
    known.add_channel(Channel("C1", "deploys", frozenset({"T1", "T2"})))
    known.channels["C1"].members.add("T1:U4")
    known.add_channel(Channel("C2", "releases", frozenset({"T1"})))
    known.add_channel(Channel("C7", "on-call", frozenset({"T1"})))
    known.add_channel(Channel("C9", "payments", frozenset({"T2"})))
    known.add_channel(Channel("C3", "changes", frozenset({"T3", "T4"})))
    return known
