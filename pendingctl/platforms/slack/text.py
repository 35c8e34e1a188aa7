"""Other people's text made fit for Slack: nothing in it is markup, invisible or too long. Pure.

Lengths are those that Slack may count at most: of the escaped text, in the units of UTF-16.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# docs.slack.dev, "Formatting message text", section "Escaping text": these three are special in every text object.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_ESCAPED_LENGTHS = {"&": 5, "<": 4, ">": 4}
_CUT_IN_LINE = " … "

# Format characters (category Cf) apart, these are shown as nothing, or as a space that is no separator:
# Unicode's property Default_Ignorable_Code_Point (DerivedCoreProperties.txt), and the empty pattern of Braille.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_RESERVED_AS_INVISIBLE = (range(0x2065, 0x2066), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000))
_JOINERS = "\u200c\u200d"
# Variation selectors (Unicode, section 23.4) choose a form of the character before them: the two of emoji, and others.
_EMOJI_SELECTORS = "\ufe0e\ufe0f"
_SELECTORS = (range(0x180B, 0x180E), range(0x180F, 0x1810), range(0xFE00, 0xFE0E), range(0xE0100, 0xE01F0))
_ENCLOSING_KEYCAP = "\u20e3"
_INFORMATION = "\u2139"
# The rest is seen: ASCII, and the letters of Latin, Greek, Cyrillic, Armenian, Japanese, Chinese and Korean.
_TO_LOOK_AT = re.compile(
    "[^\n -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u058f\u3041-\u3096\u30a1-\u30ff\u4e00-\u9fff\uac00-\ud7a3]"
)


def visible(text: str) -> str:
    """Show control characters and invisible ones as escapes, such as `\\u202e`, and every kind of space as a space.

    No text runs backwards or holds what nobody sees. Joiners stay between letters of scripts that need them, and
    between emoji; variation selectors where they may choose a form, of an emoji or an ideograph for instance.
    """
    lines = text.replace("\r\n", "\n").strip()
    return _TO_LOOK_AT.sub(_shown, lines)


def in_one_line(text: str) -> str:
    """Return visible text without line ends."""
    return re.sub(r"\s+", " ", visible(text))


def escaped(text: str) -> str:
    """Return text in which Slack finds no mention, link or date."""
    return text.translate(_ESCAPES)


def length(text: str) -> int:
    """Return the length that the text has once it is escaped."""
    in_units = len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
    return in_units + sum((size - 1) * text.count(character) for character, size in _ESCAPED_LENGTHS.items())


def cut(text: str, most: int, *, in_line: bool = False) -> str:
    """Return visible text, `most` long at most: all of it, or its beginning and its end, and how much is left out.

    With `in_line` there are no line ends, and an ellipsis says that something is left out.
    """
    show = in_one_line if in_line else visible
    if len(text) <= 4 * most:
        beginning = end = show(text)
        if length(beginning) <= most:
            return beginning
        size = len(beginning)
    else:
        # Of a very long text no more is looked at than can be shown.
        beginning, end, size = show(text[: 2 * most]), show(text[-2 * most :]), len(text)
    room = most - length(_CUT_IN_LINE if in_line else _left_out(size))
    beginning = beginning[: _fitting(beginning, room - room // 2)]
    end = end[len(end) - _fitting(reversed(end), room // 2) :]
    between = _CUT_IN_LINE if in_line else _left_out(size - len(beginning) - len(end))
    return beginning.rstrip() + between + end.lstrip()


def split(text: str, most: int) -> list[str]:
    """Return the text in parts, none blank, each `most` long at most, broken between lines or words if possible."""
    parts = []
    while length(text) > most:
        end = _fitting(text, most)
        breaks = (text.rfind(separator, end // 2, end) for separator in ("\n", " "))
        end = next((place + 1 for place in breaks if place >= 0), end)
        parts.append(text[:end])
        text = text[end:]
    return [part.strip("\n") for part in (*parts, text) if part.strip()]


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    if character == "\t":
        return "    "
    start, end = found.span()
    before, after = found.string[max(start - 1, 0) : start], found.string[end : end + 1]
    if character in _JOINERS and not before.isascii() and not after.isascii():
        return character
    if character in _EMOJI_SELECTORS or any(ord(character) in selectors for selectors in _SELECTORS):
        return character if _has_forms(before, after, character) else _as_escape(character)
    match unicodedata.category(character):
        case "Zs":
            return " "
        case "Cc" | "Cf" | "Cs" | "Zl" | "Zp":
            return _as_escape(character)
        case "Cn" if any(ord(character) in reserved for reserved in _RESERVED_AS_INVISIBLE):
            return _as_escape(character)
    return _as_escape(character) if character in _INVISIBLE else character


def _has_forms(before: str, after: str, selector: str) -> bool:
    """Whether a variation selector may be seen by what it does to the character before it; after a word it is not."""
    if before.isascii():
        return before != "" and after == _ENCLOSING_KEYCAP
    category = unicodedata.category(before)
    if selector in _EMOJI_SELECTORS:
        return category[0] in "SP" or before == _INFORMATION
    return category[0] == "S" or category == "Lo"


def _as_escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _length(character: str) -> int:
    return _ESCAPED_LENGTHS.get(character) or (2 if character > "\uffff" else 1)


def _fitting(characters: Iterable[str], room: int) -> int:
    """Return how many of the characters fit."""
    number = 0
    for character in characters:
        room -= _length(character)
        if room < 0:
            break
        number += 1
    return number


def _left_out(number: int) -> str:
    return f"\n[… {number:,} characters are left out here …]\n"
