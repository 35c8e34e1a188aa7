"""Text that comes from somewhere else, made fit for a terminal and for a log."""


def printable(text: object) -> str:
    """Show control characters, line ends included, and invisible ones as escapes: no text steers a terminal.

    The result is one line, so that no text looks like a line that somebody else has written.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def printable_lines(text: str) -> str:
    """Do the same line by line, for text that may have several."""
    return "\n".join(map(printable, text.split("\n")))
