"""What one person sees of a channel, as HTML without scripts: whatever others wrote is escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

from ..payload import JsonObject, JsonValue
from .block_rules import objects
from .messages import Button, Message, Reply, shown, text_of
from .workspaces import Channel, Person, Workspaces

REFRESH_SECONDS = 2
MOST_SHOWN = 50
_STYLE = """
body { font: 16px/1.4 sans-serif; max-width: 76ch; margin: 1em auto; padding: 0 1em; overflow-wrap: anywhere; }
article { border-left: 3px solid #999; margin: 1em 0; padding: 0 0 0 1em; }
article.thread { margin-left: 2em; }
article.reply, .warning { background: #fff3cd; color: #222; border-color: #b58900; padding: .3em 1em; }
p { margin: .3em 0; white-space: pre-wrap; }
small { color: #666; }
form { display: inline; }
button { font: inherit; margin: .2em .4em .2em 0; padding: .3em .8em; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is looked at: a channel by a person, below `path`.

    `asked` is the message's time and the action_id of a button whose dialog is open, if one is; `warnings` stand below
    messages, by their times.
    """

    known: Workspaces
    channel: Channel
    person: Person
    path: str
    asked: tuple[str, str] | None
    warnings: Mapping[str, str]

    def link(self, *, channel: str | None = None, person: str | None = None, **more: str) -> str:
        """Return the address of another view."""
        query = {"channel": channel or self.channel.id, "as": person or self.person.key, **more}
        return escape(f"{self.path}?{urlencode(query)}")


def render(view: View) -> str:
    """Return the page."""
    channels = [each for each in view.known.channels.values() if view.person.key in each.members]
    people = [view.known.people[key] for key in sorted(view.channel.members)]
    # A dialog that is open would be closed.
    refresh = "" if view.asked else f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}; url={view.link()}">'
    title = f"{_name(view.channel)}, seen by {escape(view.person.name)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">{refresh}'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{_name(view.channel)}</h1>\n"
        "<p>This is no Slack, but a stand-in on this machine.</p>\n"
        f"<p>You are: {' · '.join(_person_link(view, each) for each in people)}</p>\n"
        f"<p>Channels: {' · '.join(_channel_link(view, each) for each in channels)}</p>\n"
        f"<main>\n{''.join(_entries(view))}</main></body></html>\n"
    )


def plain_text(known: Workspaces, reply: Reply) -> str:
    """Return what a person reads of a reply of rich text alone, as text."""
    sections = [section for block in reply.blocks for section in objects(block.get("elements"))]
    return "\n".join(
        "".join(_words(known, part) for part in objects(section.get("elements"))) for section in sections
    ) or shown(reply.text)


def _person_link(view: View, person: Person) -> str:
    workspace = view.known.workspaces.get(person.team)
    about = ", ".join([workspace.name if workspace else person.team, *(["guest"] if person.is_guest else [])])
    name = f"{escape(person.name)} ({escape(about)})"
    return f"<b>{name}</b>" if person == view.person else f'<a href="{view.link(person=person.key)}">{name}</a>'


def _channel_link(view: View, channel: Channel) -> str:
    name = _name(channel)
    return f"<b>{name}</b>" if channel == view.channel else f'<a href="{view.link(channel=channel.id)}">{name}</a>'


def _name(channel: Channel) -> str:
    return "Direct messages" if channel.is_direct else f"#{escape(channel.name)}"


def _entries(view: View) -> Iterator[str]:
    """The messages and the person's replies, in their order; of very many the last."""
    mine = [each for each in view.known.replies if (each.user, each.channel) == (view.person.key, view.channel.id)]
    entries: list[Message | Reply] = sorted([*view.channel.messages.values(), *mine], key=lambda each: each.ts)
    if not entries:
        yield "<p>Nothing was posted here.</p>\n"
    for entry in entries[-MOST_SHOWN:]:
        body = "".join(_body(view, entry))
        if isinstance(entry, Reply):
            yield f'<article class="reply"><small>Only you can see this</small>{body}</article>\n'
            continue
        kind = ' class="thread"' if entry.thread_ts else ""
        edited = " (edited)" if entry.is_edited else ""
        warning = view.warnings.get(entry.ts)
        below = f'<p class="warning" role="alert">⚠ {escape(warning)}</p>' if warning else ""
        by = escape(entry.bot or entry.user)
        yield f"<article{kind}><small>{by} at {_time(int(float(entry.ts)))}{edited}</small>{body}{below}</article>\n"


def _body(view: View, entry: Message | Reply) -> Iterator[str]:
    if not entry.blocks:
        yield f"<p>{escape(shown(entry.text))}</p>"
    for block in entry.blocks:
        match block.get("type"):
            case "section":
                yield f"<p>{_plain(block.get('text'))}</p>"
            case "rich_text":
                for section in objects(block.get("elements")):
                    parts = "".join(_part(view.known, part) for part in objects(section.get("elements")))
                    yield f"<p>{parts}</p>"
            case "actions" if isinstance(entry, Message):
                buttons = [each for each in entry.buttons if each.block_id == text_of(block, "block_id")]
                yield "".join(_button(view, entry, button) for button in buttons)


def _button(view: View, message: Message, button: Button) -> str:
    dialog = button.element.get("confirm")
    label = escape(button.label)
    if not isinstance(dialog, Mapping):
        return _form(view, message, button, label)
    if view.asked != (message.ts, button.action_id):
        fields = {"channel": view.channel.id, "as": view.person.key, "ts": message.ts, "ask": button.action_id}
        return f'<form method="get" action="{escape(view.path)}">{_hidden(fields)}<button>{label}</button></form>'
    return (
        f'<div role="dialog"><p><b>{_plain(dialog.get("title"))}</b></p><p>{_plain(dialog.get("text"))}</p>'
        f"{_form(view, message, button, _plain(dialog.get('confirm')))}"
        f'<a href="{view.link()}">{_plain(dialog.get("deny"))}</a></div>'
    )


def _form(view: View, message: Message, button: Button, label: str) -> str:
    fields = {"channel": view.channel.id, "as": view.person.key, "ts": message.ts, "action_id": button.action_id}
    return f'<form method="post" action="{escape(view.path)}">{_hidden(fields)}<button>{label}</button></form>'


def _hidden(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )


def _plain(text: JsonValue) -> str:
    return escape(shown(text_of(text, "text"))) if isinstance(text, Mapping) else ""


def _part(known: Workspaces, part: JsonObject) -> str:
    words = escape(_words(known, part))
    return f"<b>{words}</b>" if part.get("type") == "user" else words


def _words(known: Workspaces, part: JsonObject) -> str:
    match part.get("type"):
        case "user":
            id = text_of(part, "user_id")
            names = [person.name for person in known.people.values() if person.id == id]
            return f"@{names[0] if names else id}"
        case "date":
            timestamp = part.get("timestamp")
            return _time(timestamp) if isinstance(timestamp, int) else text_of(part, "fallback")
    return text_of(part, "text")


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "some time"
