import importlib.util
import sys
from typing import Final

from chaosapi.lab.ports import HOST, Ports, url

QUERY_PAGE: Final = "/query"
"""The console's page that graphs a query."""


def is_installed() -> bool:
    """Return whether the console's extra is installed."""
    return importlib.util.find_spec("nicegui") is not None


def command(ports: Ports, service: str, job: str) -> list[str]:
    """Return the command line of a console for this lab."""
    sources = {"service": service} | {
        name: url(getattr(ports, name)) for name in ("prometheus", "alertmanager", "locust")
    }
    options = [word for name, address in sources.items() for word in (f"--{name}", address)]
    here = ["--host", HOST, "--port", str(ports.console)]
    return [sys.executable, "-m", "chaosapi", "console", *options, "--job", job, *here]
