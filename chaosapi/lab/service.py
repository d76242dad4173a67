import sys

from chaosapi.lab.ports import HOST


def command(port: int, admin_port: int) -> list[str]:
    """Return the command line that runs the service under test."""
    ports = ["--port", str(port), "--admin-port", str(admin_port)]
    return [sys.executable, "-m", "chaosapi", "serve", "--host", HOST, *ports]
