import socket
from collections.abc import Mapping
from typing import Final, NamedTuple

from chaosapi.lab.errors import PortTakenError

HOST: Final = "127.0.0.1"


def address(port: int) -> str:
    """Return host:port as Prometheus writes it."""
    return f"{HOST}:{port}"


def url(port: int) -> str:
    """Return the root URL of what listens on a port."""
    return f"http://{HOST}:{port}"


class Ports(NamedTuple):
    """The loopback ports of a lab's parts."""

    service: int = 8000
    admin: int = 8001
    prometheus: int = 9090
    alertmanager: int = 9093
    grafana: int = 3000
    loadtest: int = 9646
    """The port of Locust's client metrics; Prometheus scrapes it whether the lab or the user starts Locust."""
    console: int = 8080
    locust: int = 8089
    """The port of Locust's page, where the user starts Locust with one."""

    def by_option(
        self,
        *,
        with_grafana: bool,
        with_traffic: bool = False,
        with_console: bool = False,
        with_service: bool = True,
    ) -> dict[str, int]:
        """Return the ports that will be used, each by the option that sets it."""
        parts = {"grafana": with_grafana, "loadtest": with_traffic, "console": with_console, "locust": False}
        parts |= {"service": with_service, "admin": with_service}
        used = self._asdict() | {name: 0 for name, there in parts.items() if not there}
        return {f"--{name}-port" if name != "service" else "--port": port for name, port in used.items() if port}


def check_free(ports: Mapping[str, int]) -> None:
    """Raise PortTakenError unless every port is free on the loopback address and named once.

    `ports` maps the option that sets a port (`--prometheus-port`) to its number.
    """
    for option, port in ports.items():
        twins = [other for other, number in ports.items() if number == port and other != option]
        if twins:
            raise PortTakenError(f"{option} and {twins[0]} are both {port}: give each a port of its own")
        if not _is_free(port):
            raise PortTakenError(f"port {port} is taken{_owner(port)}: choose another with {option}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _owner(port: int) -> str:
    """Return which process listens, if this user may know."""
    try:
        import psutil
    except ImportError:
        return ""
    try:
        pids = {
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
            and connection.pid
            and connection.laddr
            and connection.laddr.port == port
        }
        return "".join(f" by {psutil.Process(pid).name()} (pid {pid})" for pid in sorted(pids)[:1])
    except psutil.Error:
        return ""
