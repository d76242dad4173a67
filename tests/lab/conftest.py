import socket
from contextlib import ExitStack

import pytest

PORT_OPTIONS = (
    "--port",
    "--admin-port",
    "--prometheus-port",
    "--alertmanager-port",
    "--grafana-port",
    "--loadtest-port",
    "--console-port",
    "--locust-port",
)


def free_ports() -> list[int]:
    """Return free ports of 127.0.0.1."""
    with ExitStack() as held:
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORT_OPTIONS]
        return [server.getsockname()[1] for server in servers]


@pytest.fixture
def lab_ports() -> dict[str, int]:
    """Return a free port for each part of a lab, by its option."""
    return dict(zip(PORT_OPTIONS, free_ports(), strict=True))
