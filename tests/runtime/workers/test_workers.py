"""Several worker processes behind one port act as one service, with real processes and signals."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.patience import patience, until
from tests.planes import Planes, started
from tests.processes import freeze

pytestmark = pytest.mark.slow

WORKERS = 3
ERROR = {"name": "f", "effect": {"type": "error"}}
_TIMED = "http_request_duration_seconds"
_OF_THE_PROCESS = ("cpu_seconds_total", "open_fds", "max_fds", "resident_memory_bytes", "start_time_seconds")
_ONCE = ("chaosapi_store_up", "chaosapi_build_info", "python_info")
Seen = Counter[tuple[str, int]]
"""The number of responses by replica and status."""


def replica(answer: httpx2.Response) -> str:
    """Return the replica of a response, from the first digits of its request id."""
    return f"{socket.gethostname()}-{answer.headers['x-request-id'][:8]}"


def visit(planes: Planes, count: int) -> Seen:
    """Send requests to the shop, each over a new connection."""
    with httpx2.Client(base_url=planes.users, headers={"connection": "close"}, timeout=patience(30)) as client:
        answers = [client.get("/api/products") for _ in range(count)]
    return Counter((replica(answer), answer.status_code) for answer in answers)


def replicas(planes: Planes) -> dict[int, str]:
    """Return the living workers: process ids and names."""
    answer = httpx2.get(f"{planes.admin}/admin/replicas", timeout=patience(30)).raise_for_status()
    return {each["pid"]: each["id"] for each in answer.json()["replicas"]}


def change(planes: Planes, method: str, path: str = "/admin/faults/f", **how: Any) -> dict[str, Any]:
    """Change something and wait for all workers."""
    answer = httpx2.request(method, f"{planes.admin}{path}?wait=30s", timeout=patience(60), **how)
    shown: dict[str, Any] = answer.raise_for_status().json()
    return shown


def series(text: str) -> dict[str, float]:
    """Read a scrape."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def counters(shown: dict[str, float]) -> dict[str, float]:
    """Return the counters."""
    return {name: value for name, value in shown.items() if re.search(r"_(total|count|bucket|sum)\b", name)}


def total(shown: dict[str, float], name: str, *parts: str) -> float:
    """Add up the series of a name whose labels have these parts."""
    return sum(
        value for key, value in shown.items() if key.partition("{")[0] == name and all(part in key for part in parts)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for the service's runtime files."""
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def planes(folder: Path) -> Iterator[Planes]:
    """Yield one service of several workers, its admin API on a port of its own."""
    with started(folder / "log", CHAOSAPI_WORKERS=str(WORKERS), TMPDIR=str(folder)) as planes:
        until(lambda: len(replicas(planes)) == WORKERS)
        yield planes


def test_a_fault_created_once_acts_on_all_and_so_does_its_end(planes: Planes) -> None:
    """After the response, the next request to any worker is hit, or no longer is."""
    names = set(replicas(planes).values())
    for method, body, status in (("PUT", ERROR, 503), ("DELETE", None, 200)):
        answer = change(planes, method, json=body)
        assert answer["receipt"]["replicas"] == {"applied": WORKERS, "known": WORKERS}
        seen: Seen = Counter()
        until(lambda seen=seen: {who for who, _ in seen + visit_into(planes, seen)} == names)  # type: ignore[misc]
        assert {given for _, given in seen} == {status}


def visit_into(planes: Planes, seen: Seen) -> Seen:
    """Visit a few times more."""
    seen.update(visit(planes, 5))
    return seen


def test_any_worker_exports_the_metrics_of_all(planes: Planes) -> None:
    """The sums are those that the client counted, whichever worker tells them; one value for what is the same.

    What is read off something, such as a fault's counts, every worker notes on its beat: a sum is whole a moment later.
    """
    names = set(replicas(planes).values())
    fault = "/admin/faults/counted"
    before = series(httpx2.get(f"{planes.users}/metrics").text)
    change(planes, "PUT", fault, json={**ERROR, "name": "counted", "rate": 0.5})
    seen = visit(planes, 100)
    failed = sum(count for (_, status), count in seen.items() if status == 503)
    receipt = change(planes, "DELETE", fault)["receipt"]
    assert (receipt["matched"], receipt["injected"]) == (100, failed)
    told: dict[str, dict[str, float]] = {}

    def counts() -> dict[str, float]:
        answer = httpx2.get(f"{planes.users}/metrics", timeout=patience(30))
        assert "pid=" not in answer.text
        truth = httpx2.get(f"{planes.admin}/admin/metrics", timeout=patience(30))
        told[replica(answer)] = now = series(answer.text + truth.text)
        counted = "http_requests_total"
        failures = ("http_requests_total", 'status="503"')
        return {
            "matched": total(now, "chaosapi_fault_matched_total", 'fault="counted"'),
            "injected": total(now, "chaosapi_fault_injected_total", 'fault="counted"'),
            "answered": total(now, counted) - total(before, counted),
            "timed": total(now, f"{_TIMED}_count") - total(before, f"{_TIMED}_count"),
            "failed": total(now, *failures) - total(before, *failures),
            **{name: total(now, name) for name in (*_ONCE, "chaosapi_faults_active", "http_requests_inprogress")},
        }

    sums = {"matched": 100, "injected": failed, "answered": 100, "timed": 100, "failed": failed}
    expected = sums | dict.fromkeys(_ONCE, 1) | {"chaosapi_faults_active": 0, "http_requests_inprogress": 0}
    until(lambda: counts() == expected)
    told.clear()
    while told.keys() != names:
        assert counts() == expected
    assert len({shown["chaosapi_revision"] for shown in told.values()}) == 1
    for shown in told.values():
        assert min(shown[f"process_{name}"] for name in _OF_THE_PROCESS) > 0
        assert shown["chaosapi_event_loop_lag_seconds"] >= 0


def test_an_alert_delivered_to_one_worker_is_known_to_all(planes: Planes) -> None:
    """New connections reach all workers sooner or later."""
    times = {"startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}
    alert = {"status": "firing", "labels": {"alertname": "A"}, "fingerprint": "a", **times}
    body = {"version": "4", "groupKey": "g", "status": "firing", "receiver": "r", "alerts": [alert]}
    with httpx2.Client(base_url=planes.admin, headers={"connection": "close"}, timeout=patience(30)) as client:
        client.post("/hooks/alertmanager", json=body).raise_for_status()
        told = [client.get("/admin/alerts").raise_for_status().json()["alerts"] for _ in range(30)]
    assert [[each["labels"] for each in alerts] for alerts in told] == [[{"alertname": "A"}]] * 30


class Traffic(threading.Thread):
    """Sends one request after the other until stopped, and counts the outcomes."""

    def __init__(self, planes: Planes) -> None:
        super().__init__()
        self._planes = planes
        self._over = threading.Event()
        self.seen: Seen = Counter()
        self.broken = 0

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self.seen.update(visit(self._planes, 5))
            except httpx2.TransportError:
                self.broken += 1

    def stop(self) -> None:
        self._over.set()
        self.join()


def test_a_killed_worker_loses_no_count_and_is_replaced(planes: Planes) -> None:
    """Under traffic: no counter decreases, the others stay ready, and the fault acts on the new worker."""
    change(planes, "PUT", json=ERROR)
    (victim, _), *_ = former = list(replicas(planes).items())
    last = series(httpx2.get(f"{planes.users}/metrics").text)
    before = total(last, "http_requests_total")
    traffic = [Traffic(planes) for _ in range(2)]
    for each in traffic:
        each.start()
    try:
        until(lambda: all(each.seen for each in traffic))
        os.kill(victim, signal.SIGKILL)
        until(lambda: ended(victim))

        def replaced() -> bool:
            nonlocal last
            assert httpx2.get(f"{planes.users}/readyz", timeout=patience(30)).status_code == 200
            now = series(httpx2.get(f"{planes.admin}/metrics", timeout=patience(30)).text)
            assert {name: value for name, value in counters(last).items() if now.get(name, -1) < value} == {}
            last = now
            served = {who for each in traffic for who, _ in each.seen.copy()}
            return bool(served - {name for _, name in former})

        until(replaced)
    finally:
        for each in traffic:
            each.stop()
    seen = sum((each.seen for each in traffic), Counter[tuple[str, int]]())
    broken = sum(each.broken for each in traffic)
    assert {status for _, status in seen} == {503}
    counted = total(series(httpx2.get(f"{planes.users}/metrics").text), "http_requests_total") - before
    # The kill may have come between an answer and its count, or between the count and the last byte.
    assert seen.total() - len(traffic) <= counted <= seen.total() + broken
    assert broken <= len(traffic)
    until(lambda: len(replicas(planes)) == WORKERS)
    change(planes, "DELETE")


def ended(pid: int) -> bool:
    """Return whether a process is no more (one that waits for its parent to notice counts as no more)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def gone(pids: list[int], folder: Path) -> None:
    """Check that no process and no folder is left."""
    until(lambda: all(ended(pid) for pid in pids))
    until(lambda: not [path for path in folder.iterdir() if path.is_dir()])


def test_no_setting_is_in_the_environment_of_a_child(planes: Planes) -> None:
    """Other processes of the user can read it; it may have a token, or the password of a store."""
    change(planes, "PUT", json={"name": "f", "effect": {"type": "cpu", "cores": 0.1}})
    parent = psutil.Process(planes.process.pid)
    until(lambda: len(parent.children(recursive=True)) == 2 * WORKERS)
    for child in parent.children(recursive=True):
        assert [name for name in child.environ() if name.startswith("CHAOSAPI_")] == []
    change(planes, "DELETE")


def test_a_frozen_worker_blocks_no_other(planes: Planes) -> None:
    """The others accept connections, the kill switch ends faults on them, and on the frozen one when it resumes."""
    change(planes, "PUT", json=ERROR)
    (stopped, name), *_ = replicas(planes).items()
    try:
        freeze([psutil.Process(stopped)])
        until(lambda: {status for _, status in visit(planes, 5)} == {503})
        assert httpx2.delete(f"{planes.admin}/admin/faults", timeout=patience(10)).status_code == 200
        until(lambda: {status for _, status in visit(planes, 20)} == {200})
        assert httpx2.get(f"{planes.admin}/readyz", timeout=patience(10)).status_code == 200
    finally:
        os.kill(stopped, signal.SIGCONT)
    until(lambda: (name, 200) in visit(planes, 20))
    assert {status for who, status in visit(planes, 100) if who == name} <= {200}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", folder], check=False).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_temporary_folder_kills_no_worker(small_disk: Path, tmp_path: Path) -> None:
    """New series have no space; requests are answered by the same processes."""
    with started(tmp_path / "log", CHAOSAPI_WORKERS="2", TMPDIR=str(small_disk)) as planes:
        until(lambda: len(replicas(planes)) == 2)
        pids = set(replicas(planes))
        with suppress(OSError), (small_disk / "full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**12))
        assert shutil.disk_usage(small_disk).free == 0
        with httpx2.Client(base_url=planes.users, headers={"connection": "close"}, timeout=patience(30)) as client:
            for number in range(100):
                for path in ("/api/products", f"/api/products/{number}", "/api/search?q=oak", f"/nowhere/{number}"):
                    assert client.get(path).status_code in {200, 404}
                assert client.post("/api/checkout", json={}).status_code == 422
        assert httpx2.get(f"{planes.users}/metrics", timeout=patience(30)).status_code == 200
        children = psutil.Process(planes.process.pid).children()
        assert {child.pid for child in children if not ended(child.pid)} == pids


def test_workers_of_a_killed_parent_end(tmp_path: Path) -> None:
    """Their shared folder is removed."""
    with started(tmp_path / "log", CHAOSAPI_WORKERS="2", TMPDIR=str(tmp_path)) as planes:
        until(lambda: len(replicas(planes)) == 2)
        pids = list(replicas(planes))
        assert [path for path in tmp_path.iterdir() if path.is_dir()]
        planes.process.kill()
        planes.process.wait(patience(30))
        gone(pids, tmp_path)


def test_sigterm_drains_every_worker_and_leaves_nothing(planes: Planes, folder: Path) -> None:
    """Each has a partly sent response on a slow connection, and all are completed. This ends the module's service."""
    pids = list(replicas(planes))
    whole = httpx2.get(f"{planes.users}/api/products").content
    change(planes, "PUT", json={"effect": {"type": "throttle", "bytes_per_second": len(whole) // 2}})
    streams: list[httpx2.Response] = []
    with ExitStack() as stack:
        while len({replica(answer) for answer in streams}) < WORKERS:
            client = stack.enter_context(httpx2.Client(timeout=patience(60)))
            streams.append(stack.enter_context(client.stream("GET", f"{planes.users}/api/products")))
        planes.process.terminate()
        assert [answer.read() for answer in streams] == [whole] * len(streams)
    assert planes.process.wait(patience(30)) == 0
    gone(pids, folder)
