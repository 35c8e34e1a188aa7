"""pendingctl check-history"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Output, OutputOption
from .simulate_race import JunitOption, show_result
from .stream_race import show_stream_result


def check_history(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that simulate-race --history wrote.")],
    junit: JunitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check the history of a race again, without a database.

    The verdict and the exit code are those of the race.

    Example: pendingctl check-history history/
    """
    from ..race.run import check_history as check
    from ..race.streams.files import is_of_streams
    from ..race.streams.run import check_stream_history

    if is_of_streams(directory):
        show_stream_result(check_stream_history(directory), output, junit)
    else:
        show_result(check(directory), output, junit)
