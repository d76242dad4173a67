"""SIGTERM under load: a real service, clients with keep-alive connections, and a load balancer."""

import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.patience import patience, until
from tests.planes import Planes, started
from tests.runtime.test_admin_server import free_port

pytestmark = pytest.mark.slow

CUSTOMERS = 20
LOST = 0
"""The status of a request without a response."""


def ready(url: str) -> bool:
    """Return whether the service is ready, as load balancers ask."""
    return httpx2.get(f"{url}/readyz", timeout=patience(60)).status_code == 200


@dataclass
class Crowd:
    """Clients that send one slow request after the other until the load balancer stops them; they count responses."""

    users: str
    turned_away: threading.Event = field(default_factory=threading.Event)
    statuses: list[int] = field(default_factory=list)

    def customer(self, _: int) -> None:
        with httpx2.Client(base_url=self.users, timeout=patience(60)) as client:
            while not self.turned_away.is_set():
                try:
                    self.statuses.append(client.get("/api/products").status_code)
                except httpx2.HTTPError:
                    self.statuses.append(LOST)
                    return

    def watch(self) -> None:
        """Stop the clients when the service is no longer ready, as a load balancer does."""
        until(lambda: not ready(self.users))
        self.turned_away.set()


def held(planes: Planes) -> float:
    """Return how many requests are in progress."""
    return sum(float(line.split()[-1]) for line in planes.metrics() if line.startswith("chaosapi_held_requests"))


def latency(seconds: str) -> dict[str, Any]:
    """Return an effect that holds every request for this long."""
    return {"type": "latency", "distribution": {"type": "constant", "value": seconds}}


@pytest.mark.parametrize("lasts", ["6s", "1h"])
def test_requests_in_progress_are_answered(lasts: str, tmp_path: Path) -> None:
    """Without a delay: the last response closes its connection, and the exit status is 0.

    Whom a fault would hold for longer than a service may take to stop is let go in time.
    """
    with started(tmp_path / "log") as planes, ThreadPoolExecutor(CUSTOMERS) as pool:
        planes.inject(latency(lasts) | {"cap": "2h"})
        under_way = [
            pool.submit(httpx2.get, f"{planes.users}/api/products", timeout=patience(60)) for _ in range(CUSTOMERS)
        ]
        until(lambda: held(planes) == CUSTOMERS)
        planes.process.send_signal(signal.SIGTERM)
        answers = [each.result() for each in under_way]
        assert planes.process.wait(patience(60)) == 0
    assert {(answer.status_code, answer.headers["connection"]) for answer in answers} == {(200, "close")}


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_until_the_load_balancer_has_reacted(workers: int, tmp_path: Path) -> None:
    """Clients continue on keep-alive connections until the load balancer reacts; each client counts."""
    with (
        started(tmp_path / "log", CHAOSAPI_WORKERS=str(workers), CHAOSAPI_DRAIN_DELAY="5s") as planes,
        ThreadPoolExecutor(CUSTOMERS) as pool,
    ):
        planes.inject(latency("1s"))
        crowd = Crowd(planes.users)
        customers = pool.map(crowd.customer, range(CUSTOMERS))
        until(lambda: held(planes) >= CUSTOMERS / 2)
        before = len(crowd.statuses)
        planes.process.send_signal(signal.SIGTERM)
        crowd.watch()
        list(customers)
        assert planes.process.wait(patience(60)) == 0
    assert len(crowd.statuses) >= before + CUSTOMERS / 2
    assert set(crowd.statuses) == {200}


@pytest.mark.parametrize("last", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_skips_the_delay(last: signal.Signals, tmp_path: Path) -> None:
    """The delay is for load balancers; a person at a terminal may have none."""
    with started(tmp_path / "log", CHAOSAPI_DRAIN_DELAY="60s") as planes:
        planes.process.send_signal(signal.SIGTERM)
        until(lambda: not ready(planes.users))
        assert not ready(planes.admin)
        assert httpx2.get(f"{planes.users}/healthz").status_code == 200
        planes.process.send_signal(last)
        assert planes.process.wait(patience(40)) == 0


class Passers:
    """Clients without a load balancer: each request uses a new connection, one after the other."""

    def __init__(self, users: str) -> None:
        self.address = ("127.0.0.1", int(users.rpartition(":")[2]))
        self.answered = 0
        self.lost = 0

    def come(self, _: int) -> None:
        """Send requests until the port is closed."""
        while True:
            try:
                connection = socket.create_connection(self.address, timeout=patience(30))
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(b"GET /api/products HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    answer = read(connection)
                except OSError:
                    answer = b""
            if answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"}"):
                self.answered += 1
            else:
                self.lost += 1


def read(connection: socket.socket) -> bytes:
    """Read to the end."""
    got = b""
    while part := connection.recv(2**16):
        got += part
    return got


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_established_connection_is_lost_without_a_load_balancer(workers: str, tmp_path: Path) -> None:
    """Clients connect until the port is closed: every connected client is answered, also from the backlog."""
    for _ in range(2):
        with (
            started(tmp_path / "log", apart=False, CHAOSAPI_WORKERS=workers) as planes,
            ThreadPoolExecutor(CUSTOMERS) as pool,
        ):
            passers = Passers(planes.users)
            coming = pool.map(passers.come, range(CUSTOMERS))
            until(lambda passers=passers: passers.answered >= CUSTOMERS)  # type: ignore[misc]
            planes.process.send_signal(signal.SIGTERM)
            list(coming)
            assert planes.process.wait(patience(60)) == 0
        assert passers.lost == 0


APP = """
import chaosapi
from fastapi import FastAPI

app = FastAPI()
chaosapi.install(app)


@app.get("/")
def home() -> None: ...
"""


def test_in_a_host_apps_server_a_held_request_ends_at_sigterm(tmp_path: Path) -> None:
    """Uvicorn waits for requests before the lifespan shutdown; it would wait for an hour of `hang`."""
    (tmp_path / "app.py").write_text(APP)
    url = f"http://127.0.0.1:{(port := free_port())}"
    process = subprocess.Popen([sys.executable, "-m", "uvicorn", "--port", str(port), "app:app"], cwd=tmp_path)
    with ThreadPoolExecutor() as pool:
        try:
            until(lambda: answers(url))
            hang = {"effect": {"type": "hang", "at_most": "1h"}, "schedule": {"duration": "1h"}}
            httpx2.post(f"{url}/admin/faults", json=hang).raise_for_status()
            held = pool.submit(httpx2.get, url, timeout=patience(60))
            until(lambda: "chaosapi_held_requests 1.0" in httpx2.get(f"{url}/admin/metrics").text)
            process.send_signal(signal.SIGTERM)
            process.wait(patience(30))
        finally:
            process.kill()
            process.wait(patience(30))
        assert isinstance(held.exception(), httpx2.RemoteProtocolError)


def answers(url: str) -> bool:
    """Return whether the port is open."""
    try:
        return httpx2.get(f"{url}/healthz").status_code == 200
    except httpx2.TransportError:
        return False
