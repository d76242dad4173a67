"""The commands that a person types next, with this lab's addresses in them."""

import shlex
from collections.abc import Iterator

from chaosapi.lab import traffic
from chaosapi.lab.ports import url
from chaosapi.lab.service import DemoShop
from chaosapi.lab.stack import Lab

_FAULT = ("error", "503", "--rate", "0.2", "--duration", "3m")


def lines(lab: Lab) -> Iterator[str]:
    """Yield a line for each."""
    options = lab.options
    if isinstance(options.service, DemoShop):
        if not options.traffic:
            yield f"for traffic, in another terminal: {traffic.interactive_command(lab.ports)}"
        return
    if options.traffic and not options.locustfile:
        yield f"the traffic, to copy and change: {options.folder.resolve() / 'locustfile.py'}"
    source = ["--prometheus", url(lab.ports.prometheus)]
    slos = ["--spec", str(options.service.slo), "--profile", options.profile]
    yield f"predict: {shlex.join(['chaosapi', 'forecast', *_FAULT, *slos, *source])}"
    yield f"inject: {shlex.join(['chaosapi', 'fault', 'add', *_FAULT, '--url', lab.endpoints.admin])}"
