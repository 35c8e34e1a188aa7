"""The text of a schema.sql, whatever encoding and line ends it has."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InvalidInput
from ..schema.sql_text import unix_line_ends

# The encoding that a dump declares, in which it is written.
_DECLARED_ENCODING = re.compile(
    rb"^[ \t]*set[ \t]+(?:client_encoding[ \t]*(?:=|to)|names)[ \t]*'(?P<name>[\w-]+)'", re.MULTILINE | re.IGNORECASE
)


def read_text(path: Path) -> str:
    """Return the text of a file. Raises InvalidInput, with the line, where it is not the text of an SQL script."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = unix_line_ends(_decoded(content))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path}:{line}: not UTF-8; convert the file, for example with iconv") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput(f"{path}:{line}: a NUL character; this is not an SQL script")
    return text


def _decoded(content: bytes) -> str:
    """Decode a file as UTF-8, else in the encoding that it declares, as a dump of another encoding does."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        declared = _DECLARED_ENCODING.search(content)
        # Python has the server's names, but for these (manual, "Character Set Support").
        name = "" if declared is None else declared["name"].decode().lower()
        codec = re.sub("^win", "cp", name).replace("koi8", "koi8_").replace("koi8__", "koi8_")
        try:
            return content.decode(codec)
        except (LookupError, UnicodeDecodeError):
            pass
        raise
