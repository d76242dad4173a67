"""`chaosapi lab` and `chaosapi demo`: the service with a real Prometheus and Alertmanager, on this machine."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chaosapi.errors import ChaosError
from chaosapi.lab import demo as demonstration
from chaosapi.lab import folders, next_steps, stack, status
from chaosapi.lab.errors import LabError, PortTakenError
from chaosapi.lab.ports import Ports
from chaosapi.lab.service import DemoShop, OwnApp, RunningService, Service
from chaosapi.lab.signals import StopRequested, stoppable
from chaosapi.lab.startup_progress import StartupProgress
from chaosapi.lab_addresses import published, running_labs
from chaosapi.slo import windows
from chaosapi.terminal import Terminal


def _port(part: str) -> Any:
    return typer.Option(min=1, max=65535, help=f"The port of {part} on 127.0.0.1.")


ServicePort = Annotated[int, _port("the service")]
AdminPort = Annotated[int, _port("its admin API")]
PrometheusPort = Annotated[int, _port("Prometheus")]
AlertmanagerPort = Annotated[int, _port("Alertmanager")]
GrafanaPort = Annotated[int, _port("Grafana")]
LoadtestPort = Annotated[int, _port("Locust's metrics")]
ConsolePort = Annotated[int, _port("the console")]
LocustPort = Annotated[int, _port("Locust's page, where you start Locust yourself")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Keep data and logs in this folder.", show_default="a temporary folder, deleted at the end"),
]
_DEFAULTS: Final = Ports()
_OWN: Final = "A service of your own"
_OWN_RATE: Final = 20.0
"""Requests per second of a service of the user's own, and of the shop's past."""


def _profile(name: str) -> str:
    if name not in windows.NAMES:
        raise typer.BadParameter(f"{name} is not one of {', '.join(windows.NAMES)}")
    return name


def lab(
    *,
    profile: Annotated[
        str,
        typer.Option(
            callback=_profile,
            help="Alert windows: lab (1 to 72 minutes), or production (1 hour to 3 days, with a healthy month before).",
        ),
    ] = "lab",
    port: ServicePort = _DEFAULTS.service,
    admin_port: AdminPort = _DEFAULTS.admin,
    prometheus_port: PrometheusPort = _DEFAULTS.prometheus,
    alertmanager_port: AlertmanagerPort = _DEFAULTS.alertmanager,
    grafana_port: GrafanaPort = _DEFAULTS.grafana,
    loadtest_port: LoadtestPort = _DEFAULTS.loadtest,
    console_port: ConsolePort = _DEFAULTS.console,
    locust_port: LocustPort = _DEFAULTS.locust,
    data_dir: DataDir = None,
    once: Annotated[bool, typer.Option("--once", help="Start, print the status, and stop.")] = False,
    app: Annotated[
        str | None,
        typer.Option(
            help="An app of your own, module:attribute, instead of the shop. Needs --slo.", rich_help_panel=_OWN
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="A service that runs already, with chaosapi in it. Needs --slo.", rich_help_panel=_OWN
        ),
    ] = None,
    slo: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Its SLO file.", rich_help_panel=_OWN)
    ] = None,
    locustfile: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The Locust file that sends it requests.",
            show_default="one that visits every GET route",
            rich_help_panel=_OWN,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=10_000,
            help="Requests per second that Locust sends, or the users of --locustfile; 0 for traffic of your own.",
            show_default="20 for a service of your own, 0 for the shop",
        ),
    ] = None,
    admin_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The admin API of --target.", show_default="found by itself", rich_help_panel=_OWN
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="CHAOSAPI_ADMIN_TOKEN", help="The admin token of --target.", rich_help_panel=_OWN),
    ] = None,
) -> None:
    """Start the service with Prometheus, Alertmanager and, where installed, Grafana; Ctrl-C stops them all.

    The service is the demo shop, or one of your own: chaosapi lab --app main:app --slo slo.yml
    """
    service = _service(app, target, slo, admin_url)
    if locustfile and not service:
        raise typer.BadParameter("it needs --app or --target", param_hint="--locustfile")
    sent = (_OWN_RATE if service else 0) if rate is None else rate
    console = Terminal()
    with _reported_errors(console), _folder(data_dir) as folder:
        ports = Ports(
            port,
            admin_port,
            prometheus_port,
            alertmanager_port,
            grafana_port,
            loadtest_port,
            console_port,
            locust_port,
        )
        options = stack.Options(
            folder,
            profile,
            ports,
            rate=sent or _OWN_RATE,
            traffic=sent > 0,
            console=not once,
            service=service or DemoShop(),
            locustfile=locustfile,
            token=token,
        )
        with _running(options, console) as running:
            if once:
                for line in status.read_status(running).lines(width=console.width):
                    console.print(line, soft_wrap=True)
                return
            commands = next_steps.in_another_terminal(shutil.which("chaosapi"), Path(sys.prefix) / "bin" / "activate")
            others = next_steps.among(running_labs(), running.addresses)
            for line in chain(next_steps.lines(options, running.endpoints), commands, others):
                console.print(line, soft_wrap=True)
            status.show_until_stopped(running, console)


def _service(app: str | None, target: str | None, slo: Path | None, admin_url: str | None) -> Service | None:
    """Return the service of the user's own that the options name, None for the shop."""
    if app and target:
        raise typer.BadParameter("use either --app or --target", param_hint="--target")
    for option, given, needed in (("--slo", slo, app or target), ("--admin-url", admin_url, target)):
        if given and not needed:
            others = "--target" if option == "--admin-url" else "--app or --target"
            raise typer.BadParameter(f"it needs {others}", param_hint=option)
    if not (app or target):
        return None
    if slo is None:
        raise typer.BadParameter("--app and --target need the SLOs that alerts are made from", param_hint="--slo")
    return OwnApp(app, slo) if app else RunningService(str(target), slo, admin_url)


def demo(
    *,
    port: ServicePort = _DEFAULTS.service,
    admin_port: AdminPort = _DEFAULTS.admin,
    prometheus_port: PrometheusPort = _DEFAULTS.prometheus,
    alertmanager_port: AlertmanagerPort = _DEFAULTS.alertmanager,
    grafana_port: GrafanaPort = _DEFAULTS.grafana,
    loadtest_port: LoadtestPort = _DEFAULTS.loadtest,
    data_dir: DataDir = None,
) -> None:
    """Run one incident in about a minute: traffic, a fault, the alert it fires, and the alert resolving.

    The exit code is 0 only if the page alert reached the service's webhook and resolved.
    """
    console = Terminal()
    with _reported_errors(console), _folder(data_dir) as folder:
        ports = Ports(port, admin_port, prometheus_port, alertmanager_port, grafana_port, loadtest_port)
        options = stack.Options(folder, "lab", ports, rate=demonstration.RATE, traffic=True)
        with _running(options, console) as running:
            demonstration.run(running, console)
        console.print("The alert reached the webhook and resolved. Everything is stopped.")
        console.print()
        for line in next_steps.after_demo(os.environ):
            console.print(line, soft_wrap=True)


@contextmanager
def _running(options: stack.Options, console: Terminal) -> Iterator[stack.Lab]:
    """Start a lab whose addresses other commands find."""
    with ExitStack() as cleanup:
        steps = cleanup.enter_context(StartupProgress(console))
        try:
            running = cleanup.enter_context(stack.running(options, steps.begin))
        except PortTakenError as error:
            raise PortTakenError("\n".join([str(error), *next_steps.for_taken_ports(running_labs())])) from None
        steps.end()
        try:
            cleanup.enter_context(published(running.addresses))
        except OSError as error:
            console.print(f"commands need the addresses of this lab as options: {error}", soft_wrap=True)
        yield running


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    with ExitStack() as cleanup:
        yield chosen or cleanup.enter_context(folders.temporary(Path(tempfile.gettempdir())))


@contextmanager
def _reported_errors(console: Terminal) -> Iterator[None]:
    """Turn an error into a message and exit code 1, and a signal into exit code 128 + its number."""
    try:
        with stoppable():
            yield
    except StopRequested as stopped:
        console.print(f"{stopped}: everything is stopped.")
        raise typer.Exit(128 + stopped.number) from None
    except (LabError, ChaosError) as error:
        Terminal(stderr=True).print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(1) from None
