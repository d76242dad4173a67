"""Every wait of every effect ends: with its fault, by the kill switch, on disconnect and at shutdown."""

import ast
import inspect
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from chaosapi import effects
from chaosapi.effects import EFFECTS, RequestEffect
from tests.patience import patience, until
from tests.planes import started

HOUR = {"type": "constant", "value": "1h"}
VARIANTS: dict[str, dict[str, Any]] = {
    **{
        effect.example["type"].replace("_", "-"): effect.example
        for effect in EFFECTS
        if issubclass(effect, RequestEffect)
    },
    "latency": {"type": "latency", "distribution": HOUR, "cap": "2h"},
    "latency-floor": {"type": "latency", "distribution": HOUR, "cap": "2h", "mode": "floor"},
    "hang": {"type": "hang", "at_most": "1h"},
    "throttle": {"type": "throttle", "bytes_per_second": 1},
    "capacity": {"type": "capacity", "concurrency": 1, "service_time": HOUR, "queue_timeout": "1h"},
    "error-after": {"type": "error", "when": "after"},
    "rate-limit": {"type": "rate_limit", "requests_per_second": 0.001, "burst": 1},
}
"""Every request effect; with parameters that hold requests for long."""
HOLDING = {"latency", "latency-floor", "hang", "throttle", "capacity"}
AT_POINTS = ["latency", "hang", "capacity"]

SERVERS = {
    "httptools": ["--http", "httptools", "--loop", "uvloop"],
    "h11": ["--http", "h11", "--loop", "asyncio"],
}


# What an effect may wait for


def _allowed(call: ast.expr, own: set[str]) -> bool:
    """Return whether an awaited expression uses a tool, the app, the client, or the effect's own code."""
    if not isinstance(call, ast.Call):
        return False
    match call.func:
        case ast.Name(id="app" | "send" | "response"):
            return True
        case ast.Attribute(value=ast.Name(id="tools")):
            return True
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name in own
    return False


@pytest.mark.parametrize("path", sorted(Path(inspect.getfile(effects)).parent.glob("*.py")), ids=lambda path: path.stem)
def test_effects_wait_only_through_their_tools(path: Path) -> None:
    """The tools end a wait at the fault's end, on disconnect, or at a bound; other waits would have no end."""
    tree = ast.parse(path.read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    awaited = [node.value for node in ast.walk(tree) if isinstance(node, ast.Await)]
    assert [ast.unparse(each) for each in awaited if not _allowed(each, own)] == []
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.AsyncFor, ast.AsyncWith))]
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    blocking = re.compile(r"^time\.|\.(acquire|wait_for|communicate|result)$|^(?!host\.|tools\.).*\.(sleep|wait)$")
    assert [each for each in sorted(called) if blocking.search(each)] == []


def test_the_check_finds_other_waits() -> None:
    """Awaiting anything else is reported."""
    forbidden = ["receive()", "asyncio.sleep(1)", "event.wait()", "future", "self.other()"]
    assert not any(_allowed(ast.parse(each, mode="eval").body, {"_wait"}) for each in forbidden)
    assert all(_allowed(ast.parse(each, mode="eval").body, {"_wait"}) for each in ["tools.wait(1)", "self._wait()"])


# A real server


class Guest:
    """The app of `tests.guest` under a real server, and its metrics."""

    def __init__(self, url: str, log: Path, admin: str = "") -> None:
        parts = urlsplit(url)
        self.address = str(parts.hostname), int(parts.port or 0)
        self.client = httpx2.Client(base_url=admin or url, timeout=patience(20))
        self._log = log

    def inject(self, name: str, effect: dict[str, Any], *, kind: str = "", **fault: Any) -> None:
        """Inject a fault on requests whose header `x-kind` names it."""
        target = {"headers": {"x-kind": kind or name}, **fault.pop("target", {})}
        body = {"effect": effect, "target": target, "schedule": {"duration": "3h"}, **fault}
        self.client.put(f"/admin/faults/{name}", json=body).raise_for_status()

    def connect(self, kind: str, count: int = 1, path: str = "/word") -> socket.socket:
        """Send the requests in one packet, and read no response."""
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connected.connect(self.address)
        connected.settimeout(patience(20))
        connected.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nx-kind: {kind}\r\n\r\n".encode() * count)
        return connected

    def total(self, metric: str, label: str = "") -> float:
        """Return the sum of a metric's samples with this label."""
        shown = self.client.get("/metrics").text + self.client.get("/admin/metrics").text
        found = re.findall(rf"^{metric}(?:{{.*{label}.*}})? (\S+)$", shown, re.MULTILINE)
        return sum(map(float, found))

    def matched(self, name: str) -> float:
        """Return how many requests a fault has matched."""
        return self.total("chaosapi_fault_matched_total", f'fault="{name}"')

    def idle(self) -> bool:
        """Return whether no request is held, served or queued."""
        gauges = ("chaosapi_held_requests", "http_requests_inprogress", "chaosapi_capacity_in_use")
        return all(self.total(gauge) == 0 for gauge in (*gauges, "chaosapi_capacity_queued"))

    def settled(self, names: list[str]) -> None:
        """Check that each request was counted once, as injected or as skipped."""
        for name in names:
            receipt = self.client.get(f"/admin/faults/{name}").json()["receipt"]
            passed = self.total("chaosapi_fault_expected_total", f'fault="{name}"')
            picks = {"rate-limit"}  # lets others through without a word
            counted = receipt["injected"] + receipt["skipped"]
            assert counted == passed or (name in picks and counted <= passed), (name, receipt)

    def quiet(self) -> None:
        """Check that the log has no error except the injected exception."""
        lines = self._log.read_text().splitlines()
        wrong = [line for line in lines if re.search(r"ERROR|Traceback|returned without", line)]
        assert [line for line in wrong if "ASGI" in line and "without" in line] == []
        causes = [line for line in lines if re.match(r"\S*(Error|Exception)\b", line)]
        assert [line for line in causes if VARIANTS["exception"]["message"] not in line] == []


@pytest.fixture(scope="module", params=SERVERS)
def guest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Yield the guest, under each of uvicorn's HTTP implementations."""
    log = tmp_path_factory.mktemp("guest") / "log"
    command = [sys.executable, "-m", "uvicorn", "tests.guest:app", "--port", "0", *SERVERS[request.param]]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            until(lambda: "Uvicorn running on" in log.read_text() or process.poll() is not None)
            (url,) = re.findall(r"running on (\S+)", log.read_text())
            guest = Guest(url, log)
            with guest.client:
                yield guest
            guest.quiet()
        finally:
            process.terminate()
            process.wait(patience(30))


def leave(client: socket.socket, how: str) -> None:
    """Close the connection, reset it, or half-close it."""
    if how == "half":
        with suppress(OSError):  # an effect has closed it
            client.shutdown(socket.SHUT_WR)
        return
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["kill", "end", "close", "reset", "half"])
@pytest.mark.parametrize("pipelined", [1, 2, 20])
def test_every_end_of_a_wait_releases_all_requests(guest: Guest, pipelined: int, ending: str) -> None:
    """All effects at once, each with a client that sent one or several requests in a packet."""
    duration = "2s" if ending == "end" else "3h"
    for name, effect in VARIANTS.items():
        guest.inject(name, effect, schedule={"duration": duration})
    with ExitStack() as stack:
        clients = [stack.enter_context(guest.connect(name, pipelined)) for name in VARIANTS]
        if ending == "end":
            until(lambda: not guest.client.get("/admin/faults?state=active").json()["faults"])
        else:
            until(lambda: all(guest.matched(name) for name in VARIANTS))
            until(lambda: guest.total("chaosapi_held_requests") == len(HOLDING))
        if ending == "kill":
            assert guest.client.delete("/admin/faults").json()["ended"] == len(VARIANTS)
        elif ending != "end":
            for client in clients:
                leave(client, ending)
        until(guest.idle)
        guest.settled(list(VARIANTS))
    guest.client.delete("/admin/faults").raise_for_status()
    until(guest.idle)
    guest.quiet()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["kill", "close"])
def test_a_client_that_does_not_read_is_not_held_after_the_faults_end(guest: Guest, ending: str) -> None:
    """Its own full socket blocks the response then, as without a fault; the effects have released it."""
    effects_at_work: dict[str, dict[str, Any]] = {
        "throttle": {"type": "throttle", "bytes_per_second": 10**9},
        "truncate": {"type": "truncate"},
        "corrupt": {"type": "corrupt"},
    }
    for name, effect in effects_at_work.items():
        guest.inject(name, effect)
    with ExitStack() as stack:
        clients = [stack.enter_context(guest.connect(name, 5, "/page")) for name in effects_at_work]
        until(lambda: all(guest.matched(name) for name in effects_at_work))
        until(lambda: guest.total("chaosapi_held_requests") == 0)
        if ending == "kill":
            guest.client.delete("/admin/faults").raise_for_status()
        for client in clients:
            client.close()
        until(guest.idle)
    guest.client.delete("/admin/faults").raise_for_status()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["kill", "close"])
def test_every_end_of_a_wait_releases_calls_to_dependencies(guest: Guest, ending: str) -> None:
    """The disconnecting client sent the request that makes the call."""
    for name in AT_POINTS:
        guest.inject(name, VARIANTS[name], target={"points": ["db"]})
    with ExitStack() as stack:
        clients = [stack.enter_context(guest.connect(name, 2, "/call")) for name in AT_POINTS]
        until(lambda: guest.total("chaosapi_held_requests") == len(AT_POINTS))
        if ending == "kill":
            guest.client.delete("/admin/faults").raise_for_status()
        else:
            for client in clients:
                client.close()
        until(guest.idle)
    guest.client.delete("/admin/faults").raise_for_status()


@pytest.mark.slow
def test_a_disconnect_during_a_throttled_response_is_no_error(guest: Guest) -> None:
    """Ten chunks per second; the next one is due before the server notices the disconnect."""
    guest.inject("throttle", {"type": "throttle", "bytes_per_second": 1000})
    for how in ("close", "reset"):
        with guest.connect("throttle", 2, "/page") as client:
            until(lambda: guest.total("chaosapi_held_requests") == 1)
            leave(client, how)
        until(guest.idle)
    guest.client.delete("/admin/faults").raise_for_status()
    guest.quiet()


@pytest.mark.slow
def test_a_throttled_body_is_sent_at_once_when_the_fault_ends(guest: Guest) -> None:
    """A million bytes at one per second are not sent in a million calls, which would block the event loop."""
    guest.inject("throttle", VARIANTS["throttle"])
    with guest.connect("throttle", path="/page") as client:
        until(lambda: guest.total("chaosapi_held_requests") == 1)
        guest.client.delete("/admin/faults").raise_for_status()
        arrived = 0
        while arrived < 1_000_000:
            part = client.recv(65536)
            assert part
            arrived += len(part)
    until(guest.idle)


@pytest.mark.slow
def test_an_error_replaces_an_endless_stream_when_it_starts(guest: Guest) -> None:
    """The stream gets a disconnect, and ends; the connection serves further requests."""
    guest.inject("error-after", VARIANTS["error-after"])
    with guest.connect("error-after", path="/events") as client:
        arrived = b""
        while not arrived.endswith(b"}"):
            arrived += client.recv(65536)
        assert arrived.startswith(b"HTTP/1.1 503")
        until(guest.idle)
        guest.client.delete("/admin/faults").raise_for_status()
        client.sendall(b"GET /word HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_a_stream_counts_as_held_only_during_the_effect(guest: Guest) -> None:
    """After 100 ms of latency the stream continues without counting against the limit of held requests."""
    guest.inject("latency", {"type": "latency", "distribution": {"type": "constant", "value": "100ms"}})
    with ExitStack() as stack:
        clients = [stack.enter_context(guest.connect("latency", path="/events")) for _ in range(3)]
        for client in clients:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        assert guest.total("http_requests_inprogress") == len(clients)
        assert guest.total("chaosapi_held_requests") == 0
    until(guest.idle)
    guest.client.delete("/admin/faults").raise_for_status()


@pytest.mark.slow
def test_shutdown_releases_pipelined_requests_and_clients_that_do_not_read(tmp_path: Path) -> None:
    """The server ends in time, with exit status 0 and without a traceback."""
    log = tmp_path / "log"
    with started(log) as planes:
        guest = Guest(planes.users, log, planes.admin)
        with ExitStack() as stack:
            stack.enter_context(guest.client)
            for name in HOLDING:
                guest.inject(name, VARIANTS[name])
            for name in HOLDING:
                stack.enter_context(guest.connect(name, 5, "/api/products"))
            until(lambda: guest.total("chaosapi_held_requests") == len(HOLDING))
            planes.process.send_signal(signal.SIGTERM)
            assert planes.process.wait(patience(60)) == os.EX_OK
    assert "Traceback" not in log.read_text()
