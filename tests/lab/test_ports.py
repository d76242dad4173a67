import os
import socket

import pytest

from chaosapi.lab import ports
from chaosapi.lab.errors import PortTakenError


def test_free_ports_pass() -> None:
    """Free, distinct ports are accepted."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        free = [server.getsockname()[1] for server in (one, two)]
    ports.check_free({"--port": free[0], "--prometheus-port": free[1]})


def test_a_taken_port_names_its_owner_and_the_option() -> None:
    """The message names the port, the process that uses it and the option."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError) as caught:
            ports.check_free({"--prometheus-port": port})
    assert f"port {port} is taken by " in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert "choose another with --prometheus-port" in str(caught.value)


def test_one_port_for_two_parts() -> None:
    """Two options with the same port are an error before either part starts."""
    with pytest.raises(PortTakenError, match="--port and --grafana-port are both 8000"):
        ports.check_free({"--port": 8000, "--grafana-port": 8000})
