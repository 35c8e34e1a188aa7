"""Splits SQL into its statements, as psql does, without a parser: migrate needs no optional part.

yoyo's own splitter cuts nested comments and the bodies of SQL-standard functions in two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Every token within which a semicolon ends nothing, and words, since a few of them decide what a statement is
# (manual, section 4.1).
_TOKEN = re.compile(
    r"""
    (?P<space> \s+ | --[^\n\r]* )
    | (?P<comment> /\* )
    | (?P<text> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<dollar> \$(?:[^\W\d]\w*)?\$ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<other> \d[\w.]* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
# What matters once the first words are known.
_NEXT = re.compile(r"[;()'\"]|--|/\*|(?<![\w$])(?:\$|[eE]')")
_COMMENT_MARK = re.compile(r"/\*|\*/")
# psql's own lines in a dump, which the server does not know.
_RESTRICTED = re.compile(r"\\(?:un)?restrict\b[^\n]*")
_ROUTINE = re.compile(r"create (?:or replace )?(?:function|procedure) ")

_WORDS = 5
_OWN_TRANSACTION = "pendingctl_own_transaction"


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """One statement with what stands before it, and its terminator; `start` is where its first word begins.

    `words` are its first words in lower case, up to _WORDS of them.
    """

    text: str
    start: int
    words: tuple[str, ...]


def unix_line_ends(text: str) -> str:
    """Return a file's text as it was before a checkout rewrote its line ends, if one did.

    Only where every line ends in the same way: a single carriage return, and one in a file of mixed line ends, is
    what somebody wrote, for example within a string.
    """
    newlines = text.count("\n")
    if newlines == 0:
        return text.replace("\r", "\n")
    return text.replace("\r\n", "\n") if text.count("\r\n") == newlines else text


def split_statements(text: str) -> Iterator[SqlStatement]:
    """Yield the statements of a script; joined together, their texts are the script without psql's own lines."""
    begun, start = 0, -1
    words: list[str] = []
    routine = False
    position = parentheses = blocks = 0
    while position < len(text):
        if len(words) == _WORDS and not routine:
            found = _NEXT.search(text, position)
            position = len(text) if found is None else found.start()
            if found is None:
                break
        psql = _RESTRICTED.match(text, position) if start < 0 else None
        if psql is not None:
            text = text[:position] + text[psql.end() :]
            continue
        token = _TOKEN.match(text, position)
        assert token is not None
        kind, end = token.lastgroup, _end(text, token)
        if token[0] == ";" and parentheses == 0 and blocks == 0:
            yield SqlStatement(text[begun:end], max(start - begun, 0), tuple(words))
            begun, start, words, routine = end, -1, [], False
            position = end
            continue
        if start < 0 and kind not in ("space", "comment"):
            start = position
        if kind == "word":
            word = token[0].lower()
            # The body of a routine in SQL's own form is the one place where statements stand within a statement.
            if routine and parentheses == 0:
                blocks += (word == "begin") + (word == "case" and blocks > 0) - (word == "end" and blocks > 0)
            if len(words) < _WORDS:
                words.append(word)
                routine = _ROUTINE.match(" ".join(words) + " ") is not None
        parentheses = max(0, parentheses + (token[0] == "(") - (token[0] == ")"))
        position = end
    if text[begun:].strip():
        yield SqlStatement(text[begun:], max(start - begun, 0), tuple(words))


def within_one_transaction(text: str) -> str:
    """Return a script whose own transactions are savepoints of the one around it.

    What it commits itself could not be undone when a later statement fails, and would not commit together with its
    mark. What it rolls back is rolled back.
    """
    statements = list(split_statements(text))
    if not any(_replacement(each) for each in statements):
        return "".join(each.text for each in statements)
    written = [f"savepoint {_OWN_TRANSACTION};"]
    for each in statements:
        replacement = _replacement(each)
        written.append(each.text if replacement is None else f"{each.text[: each.start]}{replacement};")
    return "".join(written)


def ends_its_transaction(text: str) -> bool:
    """Whether a script has a COMMIT, or a ROLLBACK that is not to a savepoint."""
    return any(_replacement(each) and each.words[0] not in ("begin", "start") for each in split_statements(text))


def _replacement(statement: SqlStatement) -> str | None:
    match statement.words:
        case ("begin" | "commit" | "end", *rest) if "prepared" not in rest:
            return f"savepoint {_OWN_TRANSACTION}"
        case ("start", "transaction", *_):
            return f"savepoint {_OWN_TRANSACTION}"
        case ("rollback" | "abort", *rest) if "to" not in rest and "prepared" not in rest:
            return f"rollback to savepoint {_OWN_TRANSACTION}"
    return None


def _end(text: str, token: re.Match[str]) -> int:
    """Return where a token ends; what has no end goes on to that of the text, and the server complains about it."""
    if token[0] in ("'", '"'):
        return len(text)
    if token.lastgroup == "dollar":
        closing = text.find(token[0], token.end())
        return len(text) if closing < 0 else closing + len(token[0])
    return _end_of_comment(text, token.end()) if token.lastgroup == "comment" else token.end()


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        mark = _COMMENT_MARK.search(text, position)
        if mark is None:
            return len(text)
        depth += 1 if mark[0] == "/*" else -1
        position = mark.end()
    return position
