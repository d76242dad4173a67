"""The command line: `chaosapi serve`, `lab`, `console`, `fault`, `world`, `forecast` and the others in ENTRIES."""

from importlib.metadata import version
from typing import Annotated, Final

import typer

from chaosapi.cli.lazy import LazyCommand, lazy_group

ENTRIES: Final = {
    "serve": LazyCommand("chaosapi.cli.serve", "serve", "serve"),
    "lab": LazyCommand("chaosapi.cli.lab", "lab", "lab"),
    "console": LazyCommand("chaosapi.cli.console", "console", "console"),
    "logs": LazyCommand("chaosapi.cli.logs", "logs", "cli"),
    "trace": LazyCommand("chaosapi.cli.trace", "trace", "cli"),
    "demo": LazyCommand("chaosapi.cli.lab", "demo", "lab"),
    "history": LazyCommand("chaosapi.cli.history", "history", "slo"),
    "forecast": LazyCommand("chaosapi.cli.forecast", "forecast", "forecast"),
    "score": LazyCommand("chaosapi.cli.score", "score", "forecast"),
    "traffic": LazyCommand("chaosapi.cli.traffic", "app", "lab"),
    "fault": LazyCommand("chaosapi.cli.fault", "app", "cli"),
    "world": LazyCommand("chaosapi.cli.world", "app", "cli"),
    "slo": LazyCommand("chaosapi.cli.slo", "app", "slo"),
}

app = typer.Typer(
    cls=lazy_group(ENTRIES),
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="A practice range for on-call: inject faults, watch predicted alerts fire.",
)


@app.callback(invoke_without_command=True)
def _group(
    *, show_version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False
) -> None:
    if show_version:
        typer.echo(f"chaosapi {version('chaosapi')}")
        raise typer.Exit
