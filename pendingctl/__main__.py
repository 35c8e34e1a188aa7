"""The entry point of `pendingctl` and of `python -m pendingctl`."""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        # Answered without the command line's own imports: scripts ask this often.
        from . import __version__

        sys.stdout.write(f"pendingctl {__version__}\n")
        return
    from .cli.app import app

    app(prog_name="pendingctl")


if __name__ == "__main__":
    main()
