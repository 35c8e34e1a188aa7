"""Shows where two long texts differ: the words, with a few words around them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile, zip_longest

# Shorter texts of one line are shown whole: whoever reads them sees the difference.
LONG_CHARACTERS = 60
# How many words and signs are shown before and after those that differ.
_CONTEXT = 5
# What is shown of one side. Beyond it, further places are only counted.
_SHOWN_CHARACTERS = 200
# Comparing takes up to cubic time where the same few words come again and again: from so many on, the frequent ones no
# longer tell where two texts agree; of still longer differing parts only the beginning is shown.
_ALL_WORDS = 400
_COMPARED_WORDS = 10_000

_BESIDE_CHARACTERS = 20
_NOT_SPACE_BEFORE = re.compile(r"\S+$")
_NOT_SPACE = re.compile(r"\S+")
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class TextDifference:
    """The differing parts of two texts, the line of the first in the expected one, and how many are not shown."""

    line: int
    expected: str
    actual: str
    more: int = 0
    only_white_space: bool = False


def differing_words(expected: str, actual: str) -> TextDifference:
    """Return what differs between two unequal texts: their words, or if these are all equal, their white space."""
    ours, theirs = list(_WORD.finditer(expected)), list(_WORD.finditer(actual))
    places = _places([word[0] for word in ours], [word[0] for word in theirs])
    if not places:
        return _white_space(expected, actual)
    shown: list[tuple[str, str]] = []
    for our_range, their_range, _ in places:
        texts = _excerpt(expected, ours, our_range), _excerpt(actual, theirs, their_range)
        if shown and any(sum(map(len, side)) > _SHOWN_CHARACTERS for side in zip(*shown, texts, strict=True)):
            break
        shown.append(texts)
    first = places[0][2]
    offset = ours[min(first, len(ours) - 1)].start() if ours else 0
    left, right = (shortened(_joined(side)) for side in zip(*shown, strict=True))
    return TextDifference(expected.count("\n", 0, offset) + 1, left, right, more=len(places) - len(shown))


def shortened(text: str, characters: int = 2 * _SHOWN_CHARACTERS) -> str:
    """Return a text that is cut in the middle if it is longer than this."""
    half = characters // 2
    return text if len(text) <= characters else f"{text[:half]} … {text[-half:]}"


# Words of both sides, from and to, with those around, and the first of the expected side that differs.
_Place = tuple[tuple[int, int], tuple[int, int], int]


def _places(ours: Sequence[str], theirs: Sequence[str]) -> list[_Place]:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    if same == len(ours) == len(theirs):
        return []
    end = sum(
        1
        for _ in takewhile(
            lambda pair: pair[0] == pair[1], zip(reversed(ours[same:]), reversed(theirs[same:]), strict=False)
        )
    )
    before, after = min(same, _CONTEXT), min(end, _CONTEXT)
    start = same - before
    left, right = ours[start : len(ours) - end + after], theirs[start : len(theirs) - end + after]
    if max(len(left), len(right)) > _COMPARED_WORDS:
        return [((start, start + len(left)), (start, start + len(right)), same)]
    found: list[_Place] = []
    for group in SequenceMatcher(None, left, right, autojunk=len(left) > _ALL_WORDS).get_grouped_opcodes(_CONTEXT):
        first = next(each for each in group if each[0] != "equal")
        found.append(
            (
                (start + group[0][1], start + group[-1][2]),
                (start + group[0][3], start + group[-1][4]),
                start + first[1],
            )
        )
    return found


def _excerpt(text: str, words: Sequence[re.Match[str]], part: tuple[int, int]) -> str:
    first, last = part
    if first == last:
        return ""
    start, end = words[first].start(), words[last - 1].end()
    # What stands beside it without a space belongs to it: one half of 'paid'::text is hard to read.
    before = _NOT_SPACE_BEFORE.search(text[max(start - _BESIDE_CHARACTERS, 0) : start])
    after = _NOT_SPACE.match(text[end : end + _BESIDE_CHARACTERS])
    start, end = start - len(before[0] if before else ""), end + len(after[0] if after else "")
    shown = " ".join(text[start:end].split())
    return ("… " if text[:start].strip() else "") + shown + (" …" if text[end:].strip() else "")


def _joined(excerpts: Sequence[str]) -> str:
    """Join the places of one side; what is left out between two of them is marked once."""
    return re.sub(r"… …", "…", " ".join(each for each in excerpts if each)) or "nothing"


def _white_space(expected: str, actual: str) -> TextDifference:
    pairs = enumerate(zip_longest(expected.split("\n"), actual.split("\n")), start=1)
    line, (ours, theirs) = next((line, pair) for line, pair in pairs if pair[0] != pair[1])
    left, right = ("nothing" if each is None else repr(each) for each in (ours, theirs))
    return TextDifference(line, left, right, only_white_space=True)
