"""The command line: `chaosapi serve | lab | console | demo | history | forecast | score | fault | slo`."""

from typing import Final

import typer

from chaosapi.cli.lazy import Entry, group

ENTRIES: Final = {
    "serve": Entry("chaosapi.cli.serve", "serve", "serve"),
    "lab": Entry("chaosapi.cli.lab", "lab", "lab"),
    "console": Entry("chaosapi.cli.console", "console", "console"),
    "demo": Entry("chaosapi.cli.lab", "demo", "lab"),
    "history": Entry("chaosapi.cli.history", "history", "cli"),
    "forecast": Entry("chaosapi.cli.forecast", "forecast", "forecast"),
    "score": Entry("chaosapi.cli.score", "score", "forecast"),
    "fault": Entry("chaosapi.cli.fault", "app", "cli"),
    "slo": Entry("chaosapi.cli.slo", "app", "slo"),
}

app = typer.Typer(
    cls=group(ENTRIES),
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="A practice range for on-call: inject faults, watch predicted alerts fire.",
)


@app.callback()
def _anything() -> None:
    """Let Typer make a group, though it knows none of the commands yet."""
