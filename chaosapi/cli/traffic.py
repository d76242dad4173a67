"""`chaosapi traffic`: the shop's Locust scenarios, without a checkout."""

import importlib.util
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table

from chaosapi import assets, errors
from chaosapi.cli.group import CommandGroup, suggestions
from chaosapi.forecast import locust_scenarios
from chaosapi.lab_addresses import running_lab
from chaosapi.terminal import Terminal, print_error

if importlib.util.find_spec("locust") is None:  # to import it would patch the standard library
    raise ModuleNotFoundError(name="locust")

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Send the shop traffic with Locust: run a scenario, list them, or copy their files to change them.",
)

_WITH_A_PAGE: Final = ("--headful", "--autostart", "--web-", "--headless", "--master", "--worker")
"""Options of Locust that say whether there is a web page; each is the beginning of a name."""
_OWN: Final = ("reports", "__pycache__")
_out = Terminal()


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": True}
)
def run(
    context: typer.Context,
    scenario: Annotated[
        str | None,
        typer.Argument(
            help="The scenario, as `chaosapi traffic list` names it.", show_default="Locust's web page, to choose one"
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Argument(
            help="Options of Locust and of the scenario, such as --rate 50 --duration 2m --expect 'errors<1%'; "
            "--scenario-help lists them."
        ),
    ] = None,
) -> None:
    """Run a scenario against the running lab, else against port 8000 of this machine; -H URL is another service.

    This is `locust -f FOLDER --headless --only-summary --reports none --scenario SCENARIO OPTIONS`.
    """
    words = [scenario] if scenario else []
    try:
        command = locust_command([*words, *(options or []), *context.args])
    except errors.Invalid as error:
        print_error(error)
        raise typer.Exit(2) from None
    # Locust takes a second to start. A signal that comes meanwhile waits until it can end the run in order.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    os.execv(command[0], command)  # noqa: S606 - no shell is needed


@app.command("list")
def list_() -> None:
    """List the scenarios: their requests per second, how long they last, and what to watch."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("scenario", no_wrap=True)
    table.add_column("requests/s", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for name, scenario in locust_scenarios.load_scenarios().SCENARIOS.items():
        peak = f" to {scenario.rate * scenario.surge:g}" if scenario.surge else ""
        table.add_row(name, f"{scenario.rate:g}{peak}", f"{scenario.duration:g}", scenario.story)
    _out.print(table)


@app.command()
def copy(
    folder: Annotated[Path, typer.Argument(help="A new folder, or an empty one.")],
) -> None:
    """Copy the Locust files, for traffic of your own: then run `locust -f FOLDER`."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise typer.BadParameter(f"{folder} exists and is not an empty folder", param_hint="FOLDER")
        shutil.copytree(assets.path("loadtests"), folder, ignore=shutil.ignore_patterns(*_OWN), dirs_exist_ok=True)
    except OSError as error:
        print_error(error)
        raise typer.Exit(1) from None
    typer.echo(f"copied to {folder}; next: locust -f {shlex.quote(str(folder))} --scenario-help")


def locust_command(words: Sequence[str]) -> list[str]:
    """Return the command line of Locust for a scenario and options; raises errors.Invalid.

    What the options do not say is set: no web page for a scenario, no report, the addresses of the running lab.
    """
    scenario, options = _split(words)
    made = [sys.executable, "-m", "locust", "-f", str(assets.path("loadtests"))]
    if scenario:
        made += ["--scenario", scenario]
        if not _names(options, *_WITH_A_PAGE):
            made += ["--headless", "--only-summary"]
    if not _names(options, "--reports") and "CHAOSAPI_SCENARIO_REPORTS" not in os.environ:
        made += ["--reports", "none"]
    lab = running_lab()
    if lab and not _names(options, "--host", "-H") and "LOCUST_HOST" not in os.environ:
        made += ["--host", lab.service]
    if lab and lab.locust_metrics and not _names(options, "--metrics-port", "--worker", "--master"):
        made += _metrics(lab.locust_metrics)
    return [*made, *options]


def _split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the scenario, which may stand anywhere, and the options; raises errors.Invalid for an unknown scenario."""
    known = list(locust_scenarios.load_scenarios().SCENARIOS)
    first = words[0] if words and not words[0].startswith("-") else None
    scenario = first or next((word for word in words if word in known), None)
    if first and first not in known:
        meant = " or ".join(map(repr, suggestions(first, known)))
        hint = f"did you mean {meant}?" if meant else f"there are {', '.join(known)}"
        raise errors.Invalid(f"there is no scenario {first!r}: {hint}")
    options = list(words)
    if scenario:
        place = options.index(scenario)
        del options[place - 1 if place and options[place - 1] == "--scenario" else place : place + 1]
    return scenario, options


def _names(options: Sequence[str], *beginnings: str) -> bool:
    return any(option.startswith(beginnings) for option in options)


def _metrics(address: str) -> list[str]:
    """Return the option for the port that the lab's Prometheus scrapes, unless the lab's own traffic has it."""
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_server((host, int(port))):
        return ["--metrics-port", port]
    return []
