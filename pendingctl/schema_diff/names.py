"""How the name of an object is written. Pure."""

from __future__ import annotations

import re

from .model import Name

_NEEDS_NO_QUOTES = re.compile(r"[a-z_][a-z0-9_$]*|[-+*/<>=~!@#%^&|`?]+")


def format_name(name: Name) -> str:
    """Return a name as SQL writes it: parts quoted only where necessary, argument types last, in parentheses."""
    text = ""
    for part in name:
        if part.startswith("(") and part.endswith(")"):
            text += part
        else:
            quoted = part if _NEEDS_NO_QUOTES.fullmatch(part) else '"' + part.replace('"', '""') + '"'
            text += ("." if text else "") + quoted
    return text
