"""pendingctl check-history"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import race_report
from .options import Output, OutputOption
from .race_target import show_race
from .simulate_race import JunitOption


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
        of_streams = check_stream_history(directory)
        show_race(of_streams, race_report.stream_race_report(of_streams), output, junit)
    else:
        result = check(directory)
        show_race(result, race_report.race_report(result), output, junit)
