import importlib.util
import shlex
import sys

from chaosapi import assets
from chaosapi.lab.errors import LabError
from chaosapi.lab.ports import Ports, url


def command(ports: Ports, rate: float) -> list[str]:
    """Return the command line of Locust sending the steady scenario, `rate` requests/s whatever the latency.

    Raises LabError when Locust is not installed.
    """
    if importlib.util.find_spec("locust") is None:
        raise LabError("the traffic comes from Locust, which is not installed: pip install 'chaosapi[lab]'")
    scenario = ["--scenario", "steady", "--rate", f"{rate:g}", "--duration", "1h", "--reports", "none"]
    return [*_locust(ports), "--headless", "--only-summary", *scenario]


def interactive_command(ports: Ports) -> str:
    """Return what a person types for traffic with a web page to steer it."""
    return shlex.join(_locust(ports))


def _locust(ports: Ports) -> list[str]:
    folder = str(assets.path("loadtests"))
    to = ["--host", url(ports.service), "--metrics-port", str(ports.loadtest)]
    return [sys.executable, "-m", "locust", "-f", folder, *to]
