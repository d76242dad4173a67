"""Locust, which sends the lab's traffic: the shop's scenarios, or a file for a service of the user's own."""

import importlib.util
import shlex
import sys
from pathlib import Path

from chaosapi import assets
from chaosapi.lab.errors import LabError
from chaosapi.lab.ports import HOST, Ports, url


def shop_command(ports: Ports, rate: float) -> list[str]:
    """Return the command line of Locust sending the steady scenario, `rate` requests/s whatever the latency.

    Raises LabError when Locust is not installed.
    """
    scenario = ["--scenario", "steady", "--rate", f"{rate:g}", "--duration", "168h", "--reports", "none"]
    return [*_installed(), *_shop(ports), "--headless", "--only-summary", *scenario]


def file_command(locustfile: Path, users: int, host: str) -> list[str]:
    """Return the command line of Locust running a file with so many users until it is stopped.

    Raises LabError when Locust is not installed.
    """
    crowd = ["--users", str(users), "--spawn-rate", str(users)]
    return [*_installed(), "-f", str(locustfile), "--host", host, "--headless", "--only-summary", *crowd]


def interactive_command(ports: Ports) -> str:
    """Return what a person types for traffic with a web page to steer it."""
    return shlex.join([*_LOCUST, *_shop(ports), "--web-host", HOST, "--web-port", str(ports.locust)])


_LOCUST = (sys.executable, "-m", "locust")


def _installed() -> list[str]:
    if importlib.util.find_spec("locust") is None:
        raise LabError("the traffic comes from Locust, which is not installed: pip install 'chaosapi[lab]'")
    return list(_LOCUST)


def _shop(ports: Ports) -> list[str]:
    folder = str(assets.path("loadtests"))
    return ["-f", folder, "--host", url(ports.service), "--metrics-port", str(ports.loadtest)]
