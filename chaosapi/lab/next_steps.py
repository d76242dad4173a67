"""The commands that a person types next, with the addresses of a lab in them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from chaosapi.lab import traffic
from chaosapi.lab.ports import url
from chaosapi.lab.service import DemoShop, Endpoints
from chaosapi.lab.stack import LOCUSTFILE, Options
from chaosapi.lab_addresses import LabAddresses
from chaosapi.slo import windows
from chaosapi.slo.windows import format_window

_FAULT: Final = ("error", "503", "--rate", "0.2", "--duration", "3m")


def lines(options: Options, endpoints: Endpoints) -> Iterator[str]:
    """Yield a line for each command, and the path of the generated Locust file."""
    if isinstance(options.service, DemoShop):
        if not options.traffic:
            yield f"for traffic, in another terminal: {traffic.interactive_command(options.ports)}"
        return
    if options.traffic and not options.locustfile:
        yield f"the traffic, to copy and change: {options.folder.resolve() / LOCUSTFILE}"
    seeded = format_window(windows.load(options.profile).period)
    promised = ["--spec", str(options.service.slo), "--profile", options.profile, "--history", seeded]
    forecast = ["chaosapi", "forecast", *_FAULT, *promised, "--prometheus", url(options.ports.prometheus)]
    yield f"predict: {shlex.join(forecast)}"
    yield f"inject: {shlex.join(['chaosapi', 'fault', 'add', *_FAULT, '--url', endpoints.admin])}"
    if options.token:
        yield "token: chaosapi fault and chaosapi score need it: set CHAOSAPI_ADMIN_TOKEN, or add --token"


def in_another_terminal(on_path: str | None, activate: Path) -> Iterator[str]:
    """Yield how another terminal finds the commands, where PATH has none and there is a script that changes this."""
    if not on_path and activate.is_file():
        yield f"in another terminal: . {shlex.quote(_short(activate))} && chaosapi fault add error 503 --rate 0.2"


def among(labs: Sequence[LabAddresses], own: LabAddresses) -> Iterator[str]:
    """Yield how commands reach this lab, where another one runs."""
    if len(labs) > 1:
        yield f"another lab runs: in the other terminal, first `export {own.choice}`, so that commands talk to this one"


def for_taken_ports(labs: Sequence[LabAddresses]) -> Iterator[str]:
    """Yield what to do where the ports are those of a running lab."""
    for lab in labs:
        yield f"a lab of yours runs already, at {lab.admin}: stop it, or give this one ports of its own"


def after_demo(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what to do after the demo; `make` has set MAKELEVEL, in a checkout."""
    in_checkout = "MAKELEVEL" in environment
    yield f"Next: {'make lab' if in_checkout else 'chaosapi lab'}"
    yield "  keeps the same parts running, with a console in the browser to inject faults."
    if in_checkout:
        yield "  docs/tutorial.md leads through incidents to diagnose."


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
