"""pendingctl serve"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInput
from .event_loop import run


def serve(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", show_default=False, help="The configuration, in TOML.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check the configuration, and exit.")] = False,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Try it: a database, a Slack, an agent and two pods on loopback, from nothing."),
    ] = False,
) -> None:
    """Serve questions over HTTP and in Slack: one pod, of which any number can run behind a load balancer.

    It posts questions to Slack, takes the clicks and delivers the answers. SIGTERM drains it. A changed configuration
    takes a restart.

    Example: pendingctl serve --config serve.toml
    """
    if demo:
        if config is not None or check:
            raise InvalidInput("--demo has a configuration of its own; leave out --config and --check")
        from ..demo.run import run_demo

        run(run_demo(typer.echo, partial(typer.echo, err=True)))
        return
    if config is None:
        raise InvalidInput("name a configuration with --config FILE; --demo shows all of it without one")
    from ..serve.configuration import load, problems, secrets_of

    if check:
        found = problems(config, os.environ)
        for problem in found:
            typer.echo(problem, err=True)
        if found:
            raise typer.Exit(InvalidInput.exit_code)
        typer.echo(f"{config}: fine")
        return
    configuration = load(config, os.environ)
    from ..serve.logs import set_up
    from ..serve.process import Stop, serve

    set_up(configuration.logs, secrets=secrets_of(configuration))

    async def serving() -> Stop | None:
        stop = Stop()
        stop.install()
        return None if await serve(configuration, stop) else stop

    if (stopped := run(serving())) is not None:
        raise typer.Exit(128 + stopped.signal)
