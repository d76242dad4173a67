"""Every effect with its own example, through a real server; and the exempt paths."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from chaosapi import durations
from chaosapi.effects import EFFECTS, RequestEffect
from chaosapi.effects.memory import Memory
from chaosapi.routes import EXEMPT
from tests.effects.conftest import Raw
from tests.patience import patience, until
from tests.planes import Planes, started

pytestmark = pytest.mark.slow

PATH = "/api/products?size=3"
CATALOGUE = {effect.model_fields["type"].default: effect for effect in EFFECTS}
LASTING = [name for name in CATALOGUE if name != "crash"]


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    """Yield a service with an admin port: `pause` blocks the main port."""
    with started(tmp_path_factory.mktemp("catalogue") / "log") as planes:
        yield planes


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a service with one port."""
    with started(tmp_path_factory.mktemp("catalogue") / "log", apart=False) as planes:
        yield planes.users


class User:
    """A raw client of the shop, with its responses before any fault."""

    def __init__(self, planes: Planes, raw: Raw) -> None:
        self.planes = planes
        self._raw = raw
        self.service = psutil.Process(planes.process.pid)
        self.healthy = self.get()
        self.resident = self.service.memory_info().rss

    def get(self) -> tuple[int, bytes, str]:
        """Return the status (0 without one), the body, and how the connection ended."""
        arrived, end = self._raw(self.planes.users, PATH)
        head, _, body = arrived.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body, end

    def timed(self) -> float:
        """Check for the healthy response; return its seconds."""
        begun = time.perf_counter()
        assert self.get() == self.healthy
        return time.perf_counter() - begun


Counts = tuple[int, int]
"""The counts that a receipt must have: matched and injected."""


def error(user: User) -> Counts:
    """Expect one of the two statuses of the example."""
    assert user.get()[0] in {503, 500}
    return 1, 1


def late(user: User) -> Counts:
    """Expect the healthy response, no earlier than planned."""
    elapsed = user.timed()
    planned = durations.parse(user.planes.fault()["receipt"]["delay"]["planned"]["p50"])
    assert 0 < planned <= elapsed * 1.003
    return 1, 1


def throttle(user: User) -> Counts:
    """Expect the healthy response at the given rate."""
    pace: int = CATALOGUE["throttle"].example["bytes_per_second"]
    assert user.timed() > len(user.healthy[1]) / pace - 0.11
    return 1, 1


def hang(user: User) -> Counts:
    """Expect no response on an open connection."""
    parts = urlsplit(user.planes.users)
    with socket.create_connection((parts.hostname, parts.port), timeout=0.5) as client:
        client.sendall(f"GET {PATH} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            client.recv(1)
    return 1, 1


def reset(user: User) -> Counts:
    """Expect a TCP reset without a response."""
    assert user.get() == (0, b"", "reset")
    return 1, 1


def truncate(user: User) -> Counts:
    """Expect a truncated body."""
    status, body, end = user.get()
    assert (status, end) == (200, "closed")
    assert len(body) < len(user.healthy[1])
    assert user.healthy[1].startswith(body)
    return 1, 1


def corrupt(user: User) -> Counts:
    """Expect a body of the same length with other bytes."""
    status, body, _ = user.get()
    assert (status, len(body)) == (200, len(user.healthy[1]))
    assert body != user.healthy[1]
    return 1, 1


def exception(user: User) -> Counts:
    """Expect the app's own 500."""
    assert user.get()[0] == 500
    return 1, 1


def rate_limit(user: User) -> Counts:
    """Expect success until the burst is used up."""
    statuses = [user.get()[0]]
    while statuses[-1] == 200:
        statuses.append(user.get()[0])
    assert statuses[-1] == 429
    return len(statuses), 1


def pause(user: User) -> Counts:
    """Expect no response, while the admin API works."""
    until(lambda: user.planes.fault()["receipt"]["delay"])
    assert user.get() == user.healthy
    receipt = user.planes.end()["receipt"]
    return receipt["matched"], receipt["matched"]


def cpu(user: User) -> Counts:
    """Expect the healthy response while a burner process runs."""
    until(lambda: any(sum(child.cpu_times()[:2]) > 0.1 for child in user.service.children()))
    assert user.get() == user.healthy
    return 1, 1


def memory(user: User) -> Counts:
    """Expect the healthy response from a process with more memory."""
    limit = Memory.model_validate(Memory.example).limit
    until(lambda: user.service.memory_info().rss - user.resident > 0.9 * limit)
    assert user.get() == user.healthy
    return 1, 1


def health(user: User) -> Counts:
    """Expect the healthy response; only the probe fails, on both ports."""
    until(lambda: httpx2.get(f"{user.planes.users}/readyz").status_code == 503)
    assert httpx2.get(f"{user.planes.admin}/readyz").status_code == 503
    assert httpx2.get(f"{user.planes.users}/healthz").status_code == 200
    assert user.get() == user.healthy
    return 2, 2


SEEN: dict[str, Callable[[User], Counts]] = {
    "latency": late,
    "capacity": late,
    **{
        see.__name__: see
        for see in (error, throttle, hang, reset, truncate, corrupt, exception, rate_limit, pause, cpu, memory, health)
    },
}
"""The user's view of each effect; a new effect needs a line here."""


@pytest.mark.parametrize("kind", LASTING)
def test_every_effect_acts_counts_and_stops(kind: str, planes: Planes, raw: Raw) -> None:
    """The client's view changes, the receipt and the metrics agree, and after the end all is as before."""
    user = User(planes, raw)
    planes.inject(CATALOGUE[kind].example)
    counts = SEEN[kind](user)
    httpx2.delete(f"{planes.admin}/admin/faults", timeout=patience(30)).raise_for_status()
    until(lambda: user.get() == user.healthy)
    receipt = planes.fault()["receipt"]
    assert (receipt["matched"], receipt["injected"]) == counts
    metrics = planes.metrics()
    for what, count in zip(("matched", "injected"), counts, strict=True):
        assert f'chaosapi_fault_{what}_total{{effect="{kind}",fault="f"}} {float(count)}' in metrics
    assert f'chaosapi_fault_strength{{effect="{kind}",fault="f"}} 0.0' in metrics
    until(lambda: "chaosapi_held_requests 0.0" in planes.metrics())
    until(lambda: user.service.children() == [])
    until(lambda: user.service.memory_info().rss < user.resident + 20 * 2**20)
    assert httpx2.get(f"{planes.users}/readyz").status_code == 200


def test_crash_ends_the_process(tmp_path: Path) -> None:
    """In a separate service."""
    with started(tmp_path / "log", CHAOSAPI_ALLOW_CRASH="true") as planes:
        planes.inject(CATALOGUE["crash"].example)
        assert planes.process.wait(patience(30)) == CATALOGUE["crash"].example["exit_code"]


@pytest.mark.parametrize("kind", LASTING)
def test_no_effect_acts_on_exempt_paths(kind: str, url: str) -> None:
    """Probes, metrics, docs, hooks and the admin API answer as ever, on a port they share; no receipt has seen them.

    Only `health` makes the probe fail that it names.
    """
    httpx2.put(f"{url}/admin/faults/f", json={"effect": CATALOGUE[kind].example}).raise_for_status()
    paths = {**dict.fromkeys(EXEMPT), "/admin": "/admin/faults", "/hooks": "/hooks/alertmanager"}
    paths["/static-offline-docs"] = "/static-offline-docs/swagger-ui.css"
    if kind == "health":
        del paths["/readyz"]
    for prefix, path in paths.items():
        answer = httpx2.get(f"{url}{path or prefix}", timeout=patience(30))
        assert answer.status_code == (405 if prefix == "/hooks" else 200)
    fault = httpx2.get(f"{url}/admin/faults/f", timeout=patience(30)).json()
    assert fault["strength"] == 1.0
    assert fault["receipt"]["matched"] == 0 or not issubclass(CATALOGUE[kind], RequestEffect)
    httpx2.delete(f"{url}/admin/faults", timeout=patience(30)).raise_for_status()
