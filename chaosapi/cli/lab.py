"""`chaosapi lab` and `chaosapi demo`: the service with a real Prometheus and Alertmanager, on this machine."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from chaosapi.errors import ChaosError
from chaosapi.lab import demo as demonstration
from chaosapi.lab import folders, stack, status, traffic
from chaosapi.lab.errors import LabError
from chaosapi.lab.ports import Ports
from chaosapi.lab.signals import StopRequested, stoppable
from chaosapi.slo import windows
from chaosapi.terminal import Terminal

Port = Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Keep data and logs in this folder.", show_default="a temporary folder, deleted at the end"),
]
_DEFAULTS: Final = Ports()


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
    port: Port = _DEFAULTS.service,
    admin_port: Port = _DEFAULTS.admin,
    prometheus_port: Port = _DEFAULTS.prometheus,
    alertmanager_port: Port = _DEFAULTS.alertmanager,
    grafana_port: Port = _DEFAULTS.grafana,
    loadtest_port: Port = _DEFAULTS.loadtest,
    console_port: Port = _DEFAULTS.console,
    data_dir: DataDir = None,
    once: Annotated[bool, typer.Option("--once", help="Start, print the status, and stop.")] = False,
) -> None:
    """Start the service with Prometheus, Alertmanager and, where installed, Grafana; Ctrl-C stops them all."""
    console = Terminal()
    with _ended_well(console), _folder(data_dir) as folder:
        ports = Ports(port, admin_port, prometheus_port, alertmanager_port, grafana_port, loadtest_port, console_port)
        options = stack.Options(folder, profile, ports, console=not once)
        with stack.running(options, _progress_printer(console)) as running:
            if once:
                console.print(str(status.read_status(running)), soft_wrap=True)
                return
            console.print(f"for traffic, in another terminal: {traffic.interactive_command(ports)}", soft_wrap=True)
            status.show_until_stopped(running, console)


def demo(
    *,
    port: Port = _DEFAULTS.service,
    admin_port: Port = _DEFAULTS.admin,
    prometheus_port: Port = _DEFAULTS.prometheus,
    alertmanager_port: Port = _DEFAULTS.alertmanager,
    grafana_port: Port = _DEFAULTS.grafana,
    loadtest_port: Port = _DEFAULTS.loadtest,
    data_dir: DataDir = None,
) -> None:
    """Run one incident in about a minute: traffic, a fault, the alert it fires, and the alert resolving.

    The exit code is 0 only if the page alert reached the service's webhook and resolved.
    """
    console = Terminal()
    with _ended_well(console), _folder(data_dir) as folder:
        ports = Ports(port, admin_port, prometheus_port, alertmanager_port, grafana_port, loadtest_port)
        options = stack.Options(folder, "lab", ports, rate=demonstration.RATE, traffic=True)
        with stack.running(options, _progress_printer(console)) as running:
            demonstration.run(running, console)
        console.print("The alert reached the webhook and resolved. Everything is stopped.")


def _progress_printer(console: Terminal) -> Callable[[str], None]:
    return lambda text: console.print(text, style="dim")


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    with ExitStack() as cleanup:
        yield chosen or cleanup.enter_context(folders.temporary(Path(tempfile.gettempdir())))


@contextmanager
def _ended_well(console: Terminal) -> Iterator[None]:
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
