"""The command line: `chaosapi serve | lab | console | demo | forecast | score | fault | slo`."""

from typing import Any

import typer
from typer.core import TyperGroup

from chaosapi.cli import fault, slo
from chaosapi.cli.backtest import backtest
from chaosapi.cli.console import console
from chaosapi.cli.forecast import forecast
from chaosapi.cli.history import history
from chaosapi.cli.lab import demo, lab
from chaosapi.cli.score import score
from chaosapi.cli.serve import serve
from chaosapi.text import escape_control


class _Commands(TyperGroup):
    """Commands whose refusals are text, like all else that they print: a file's content may stand in one."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as refused:
            refused.message = escape_control(refused.message, keep="\n")
            raise


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="A practice range for on-call: inject faults, watch predicted alerts fire.",
)
app.command()(serve)
app.command()(lab)
app.command()(console)
app.command()(demo)
app.command()(history)
app.command()(forecast)
app.command()(score)
app.add_typer(fault.app, name="fault")
slo.app.command()(backtest)
app.add_typer(slo.app, name="slo")
