"""The kill switch of real services, whatever has become of their store: troubles × stores × processes × ports.

One service goes through all troubles of its store. In each a fault fails all requests, the kill switch answers 200 in
time, all workers serve their users, and once the trouble is over the store knows.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import redis

from tests.failures.world import until
from tests.patience import patience
from tests.planes import Planes, started
from tests.store.conftest import RedisServer, full, running

pytestmark = pytest.mark.slow

_SOON: Final = 2.0
"""Time-out in seconds for a response that takes 0.25 s on an idle machine."""
GARBAGE: Final = '{"revision":9,"faults":[{"name":'

Trouble = Callable[[Any], AbstractContextManager[None]]


@contextmanager
def poisoned(file: Path) -> Iterator[None]:
    """Store an unreadable state."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE state SET revision = revision + 5, state = ?", (GARBAGE,))
        db.commit()
    yield


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Lock the file against writers."""
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


@contextmanager
def away(file: Path) -> Iterator[None]:
    """Move the file."""
    elsewhere = file.with_name("elsewhere")
    file.rename(elsewhere)
    yield
    elsewhere.rename(file)


FILES: dict[str, Trouble] = {"poisoned": poisoned, "locked": locked, "away": away}


@contextmanager
def garbled(server: RedisServer) -> Iterator[None]:
    """Replace the state by a value of another type."""
    with redis.Redis.from_url(server.url) as admin:
        admin.delete("{chaosapi}:state")
        admin.set("{chaosapi}:state", "x")
    yield


@contextmanager
def spoilt(server: RedisServer) -> Iterator[None]:
    """Replace all chaosapi keys by malformed values."""
    with redis.Redis.from_url(server.url) as admin:
        admin.hset("{chaosapi}:state", mapping={"revision": 99, "version": "other", "state": GARBAGE})
        for key in ("audit", "replicas", "lease"):
            admin.delete(f"{{chaosapi}}:{key}")
            admin.set(f"{{chaosapi}}:{key}", "x")
        for tally in admin.scan_iter("{chaosapi}:tally:*"):
            admin.hset(tally, mapping={"x": "garbage", "y": "{}"})
        admin.publish("{chaosapi}:changes:0", "garbage")
    yield


@contextmanager
def standing(server: RedisServer) -> Iterator[None]:
    """Freeze Redis."""
    server.stop()
    try:
        yield
    finally:
        server.resume()


@contextmanager
def flushed(server: RedisServer) -> Iterator[None]:
    """Flush Redis."""
    with redis.Redis.from_url(server.url) as admin:
        admin.flushall()
    yield


SERVERS: dict[str, Trouble] = {
    "garbled": garbled,
    "spoilt": spoilt,
    "full": full,
    "standing": standing,
    "flushed": flushed,
}


def statuses(planes: Planes, workers: int) -> set[int]:
    """Return the statuses of all workers, each over several connections."""
    asked: set[str] = set()
    found: set[int] = set()
    with httpx2.Client(base_url=planes.users, headers={"connection": "close"}, timeout=patience(30)) as client:
        while len(asked) < workers:
            for _ in range(12):
                answer = client.get("/api/products")
                asked.add(answer.headers["x-request-id"].rpartition("-")[0])
                found.add(answer.status_code)
    return found


def standing_in_audit(planes: Planes, reason: str) -> bool:
    """Return whether the audit has the call."""
    answer = httpx2.get(f"{planes.admin}/admin/audit", timeout=patience(30))
    return answer.is_success and reason in {entry["reason"] for entry in answer.json()["entries"]}


def injected(planes: Planes) -> bool:
    """Create the fault; return whether the store accepted it."""
    fault = {"effect": {"type": "error"}, "schedule": {"duration": "1h"}}
    answer = httpx2.put(f"{planes.admin}/admin/faults/f", json=fault, timeout=patience(30))
    assert answer.status_code in {200, 201, 503}, answer.text
    return answer.is_success


def stopped(planes: Planes, trouble: AbstractContextManager[None], name: str, workers: int) -> None:
    """Use the kill switch and the halt during a trouble."""
    until(lambda: injected(planes), "the fault is made")
    until(lambda: statuses(planes, workers) == {503}, "all fail")
    with trouble:
        begun = time.monotonic()
        answer = httpx2.delete(f"{planes.admin}/admin/faults", params={"reason": name}, timeout=patience(30))
        took = time.monotonic() - begun
        assert answer.status_code == 200, f"{name}: {answer.text}"
        assert answer.json()["ended"] <= 1
        assert took < patience(_SOON), f"{name}: {took:.2f} s"
        until(lambda: statuses(planes, workers) == {200}, f"{name}: all serve")
        again = httpx2.post(f"{planes.admin}/admin/halt", json={"reason": f"halt {name}"}, timeout=patience(30))
        assert again.status_code == 200, f"{name}: {again.text}"
        refused = httpx2.put(f"{planes.admin}/admin/faults/g", json={"effect": {"type": "error"}}, timeout=patience(30))
        assert refused.status_code in {409, 503}, f"{name}: {refused.text}"
        assert httpx2.get(f"{planes.users}/healthz", timeout=patience(30)).status_code == 200
        assert httpx2.get(f"{planes.admin}/admin/faults", timeout=patience(30)).status_code == 200
    until(lambda: standing_in_audit(planes, f"halt {name}"), f"{name}: the store knows")

    def resumed() -> bool:
        answer = httpx2.delete(f"{planes.admin}/admin/halt", timeout=patience(30))
        assert answer.status_code in {200, 503}, answer.text
        return answer.is_success

    until(resumed, f"{name}: chaos is allowed again")
    assert statuses(planes, workers) == {200}, f"{name}: what was ended came back"


def quiet(log: Path) -> None:
    """Check that the log has no unexpected error."""
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("apart", [True, False], ids=["own port", "shared port"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_file(tmp_path: Path, workers: int, apart: bool) -> None:  # noqa: FBT001 - a parameter
    """Of one process, or of workers that share a file in a temporary folder."""
    several = {"CHAOSAPI_WORKERS": str(workers), "TMPDIR": str(tmp_path)}
    alone = {"CHAOSAPI_STORE": f"sqlite:///{tmp_path / 'faults.sqlite'}"}
    log = tmp_path / "log"
    with started(log, apart=apart, **(several if workers > 1 else alone)) as planes:
        (file,) = tmp_path.glob("**/faults.sqlite")
        for name, trouble in FILES.items():
            stopped(planes, trouble(file), name, workers)
    quiet(log)


@pytest.mark.parametrize("apart", [True, False], ids=["own port", "shared port"])
def test_redis(tmp_path: Path, apart: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """With two workers, so that one gets the stop from the other."""
    log = tmp_path / "log"
    with running(tmp_path, "--maxmemory-policy", "noeviction") as server:
        settings = {"CHAOSAPI_STORE": server.url, "CHAOSAPI_WORKERS": "2"}
        with started(log, apart=apart, **settings) as planes:
            for name, trouble in SERVERS.items():
                stopped(planes, trouble(server), name, 2)
    quiet(log)
