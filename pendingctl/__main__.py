"""The entry point of `pendingctl` and of `python -m pendingctl`."""

import os
import sys


def main() -> None:
    """Run the command line."""
    _open_closed_streams()
    try:
        _run()
    except OSError as error:  # of --help and --version; the commands report their own
        _report_unwritten(error)
    finally:
        _flush()


def _run() -> None:
    if sys.argv[1:] == ["--version"]:
        # Answered without the command line's own imports: scripts ask this often.
        from . import __version__

        sys.stdout.write(f"pendingctl {__version__}\n")
        return
    from .cli.app import app

    app(prog_name="pendingctl")


def _open_closed_streams() -> None:
    """Open each standard stream that is closed: the next connection would get its number, and what is printed to it.

    stdin and stdout are opened the wrong way round, so that to use them is an error and not silence.
    """
    for number, name, flags in ((0, "stdin", os.O_WRONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _flush() -> None:
    """Write what is left while an error can still be reported: Python itself would end with exit code 120."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _report_unwritten(error)
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _report_unwritten(error: OSError) -> None:
    """End with exit code 2; a pipe that nobody reads any more ends the command quietly, with its own code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"error: the result could not be written to stdout: {error.strerror}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
