"""Text that comes from somewhere else, made fit for a terminal."""


def printable(text: object) -> str:
    """Show control characters and invisible ones as escapes, line ends apart, so that no text can steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in str(text))
