import importlib.util
import sys

from chaosapi.lab.ports import HOST, Ports, url


def is_installed() -> bool:
    """Return whether what the console is made with is there."""
    return importlib.util.find_spec("nicegui") is not None


def command(ports: Ports, service: str, job: str) -> list[str]:
    """Return the command line of a console that watches this lab, and Locust where a person starts its page."""
    sources = {"service": service, "prometheus": url(ports.prometheus), "alertmanager": url(ports.alertmanager)}
    options = [word for name, address in sources.items() for word in (f"--{name}", address)]
    here = ["--host", HOST, "--port", str(ports.console)]
    return [sys.executable, "-m", "chaosapi", "console", *options, "--job", job, *here]
