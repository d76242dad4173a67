"""The command line: `chaosapi serve | lab | console | demo | forecast | score | fault | slo`."""

import typer

from chaosapi.cli import fault, slo
from chaosapi.cli.backtest import backtest
from chaosapi.cli.console import console
from chaosapi.cli.forecast import forecast
from chaosapi.cli.history import history
from chaosapi.cli.lab import demo, lab
from chaosapi.cli.score import score
from chaosapi.cli.serve import serve

app = typer.Typer(
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
