"""Servers with several processes of an app, which act as one service."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx2
import psutil
import pytest

from chaosapi.calls import OUTCOMES
from tests.patience import patience
from tests.servers import Served, free_port, running, serving, until

pytestmark = pytest.mark.slow

FASTAPI = "tests.guest:app"
PLAIN = "tests.guest_plain:app"
ERROR = {"effect": {"type": "error"}}
MANY = ["uvicorn", "gunicorn", "gunicorn-preload", "gunicorn-uvicorn", "gunicorn-asgi", "hypercorn", "granian"]


def visit_both(served: Served) -> Counter[int]:
    """Send at least 40 requests, each over a connection of its own, until each worker has had one; return statuses."""
    seen: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    while statuses.total() < 40 or len(seen) < 2:
        answer = served.get("/pid")
        statuses[answer.status_code] += 1
        seen[answer.headers["x-request-id"].rpartition("-")[0]] += 1
        assert statuses.total() < 1000, "one worker got all requests"
    return statuses


def counted(served: Served) -> dict[str, float]:
    """Return the counters of the service and of its faults."""
    shown = served.get("/metrics").text + served.get("/admin/metrics").text
    lines = (line.rpartition(" ") for line in shown.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines if re.search(r"_(total|count|bucket|sum)\b", name)}


def requests(shown: dict[str, float], status: int) -> float:
    """Return how many requests to /pid were answered with a status."""
    return shown[f'http_requests_total{{handler="/pid",method="GET",status="{status}"}}']


def folders(parent: Path) -> list[str]:
    """Return what the workers share, by name."""
    return sorted(path.name for path in parent.glob("chaosapi-*"))


@pytest.mark.parametrize("app", [FASTAPI, PLAIN], ids=["fastapi", "plain"])
@pytest.mark.parametrize("server", MANY)
def test_faults_the_kill_switch_receipts_and_metrics_are_those_of_all_workers(
    server: str, app: str, tmp_path: Path
) -> None:
    """Whichever worker gets the request."""
    with serving(server, app, tmp_path, workers=2) as served:
        assert served.change("PUT", "faults/f", json=ERROR)["receipt"]["replicas"] == {"applied": 2, "known": 2}
        hit = visit_both(served)
        assert set(hit) == {503}
        ended = served.change("DELETE", "faults")
        assert (ended["ended"], ended["replicas"]) == (1, {"applied": 2, "known": 2})
        spared = visit_both(served)
        assert set(spared) == {200}

        shown = {requests(counted(served), 503) for _ in range(10)}
        assert shown == {hit.total()}
        assert requests(counted(served), 200) == spared.total()
        assert counted(served)['chaosapi_fault_injected_total{effect="error",fault="f"}'] == hit.total()
        until(lambda: served.get("/admin/faults/f").json()["receipt"]["injected"] == hit.total())
        assert len(folders(tmp_path)) == 1
    assert folders(tmp_path) == []


def test_calls_at_the_points_of_all_workers_add_up(tmp_path: Path) -> None:
    """Calls that succeed, and calls that a fault fails; each series is there before the first call."""
    series = 'chaosapi_dependency_request_duration_seconds_count{{dependency="db",outcome="{}"}}'
    with serving("uvicorn", FASTAPI, tmp_path, workers=2) as served:
        assert [counted(served)[series.format(outcome)] for outcome in OUTCOMES] == [0, 0, 0, 0]
        assert {served.get("/call").text for _ in range(30)} == {'"fine"'}
        served.change("PUT", "faults/f", json=ERROR | {"target": {"points": ["db"]}})
        assert {served.get("/call").text for _ in range(20)} == {'"failed"'}
        shown = counted(served)
        assert (shown[series.format("ok")], shown[series.format("error")]) == (30, 20)


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "granian"])
def test_the_successor_of_a_killed_worker_continues_its_faults_and_counters(server: str, tmp_path: Path) -> None:
    """No counter ever decreases, and the gauges of the dead worker are dropped."""
    with serving(server, FASTAPI, tmp_path, workers=2) as served:
        served.change("PUT", "faults/f", json=ERROR)
        hit = visit_both(served)
        before = counted(served)
        dead, _ = served.replicas()
        os.kill(dead, signal.SIGKILL)
        shown = [before]

        def replaced() -> bool:
            shown.append(counted(served))
            return dead not in served.replicas() and len(served.replicas()) == 2

        until(replaced)
        later = visit_both(served)
        assert set(later) == {503}
        shown.append(counted(served))
        for earlier, now in pairwise(shown):
            assert {name for name, value in earlier.items() if now.get(name, 0) < value} == set()
        assert requests(shown[-1], 503) == hit.total() + later.total()
        assert served.change("DELETE", "faults")["replicas"] == {"applied": 2, "known": 2}
        assert set(visit_both(served)) == {200}
        open_now = "http_requests_inprogress"
        assert f'{open_now}{{handler="/pid",method="GET"}} 0.0' in served.get("/metrics").text


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "granian"])
def test_new_workers_continue_the_faults_and_counters_of_old_ones(server: str, tmp_path: Path) -> None:
    """SIGHUP replaces all of them."""
    with serving(server, FASTAPI, tmp_path, workers=2) as served:
        served.change("PUT", "faults/f", json=ERROR)
        hit = visit_both(served)
        old = served.replicas().keys()
        served.process.send_signal(signal.SIGHUP)
        shown = [counted(served)]

        def replaced() -> bool:
            shown.append(counted(served))
            now = served.replicas().keys()
            return len(now) == 2 and not now & old

        until(replaced)
        later = visit_both(served)
        assert set(later) == {503}
        shown.append(counted(served))
        for earlier, now in pairwise(shown):
            assert {name for name, value in earlier.items() if now.get(name, 0) < value} == set()
        assert requests(shown[-1], 503) == hit.total() + later.total()
    assert folders(tmp_path) == []


def test_counters_survive_the_death_of_all_workers(tmp_path: Path) -> None:
    """The folder stays while the server may start workers."""
    with serving("uvicorn", FASTAPI, tmp_path, workers=2) as served:
        served.change("PUT", "faults/f", json=ERROR)
        hit = visit_both(served)
        dead = served.replicas()
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not dead.keys() & served.replicas().keys() and len(served.replicas()) == 2)
        assert requests(counted(served), 503) == hit.total()
        assert set(visit_both(served)) == {503}


def test_the_next_start_removes_the_folder_of_a_killed_server(tmp_path: Path) -> None:
    """After kill -9 of the server and of its workers."""
    with serving("uvicorn", FASTAPI, tmp_path, workers=2) as served:
        workers = served.workers()
        served.process.kill()
        for worker in workers:
            worker.kill()
    left = folders(tmp_path)
    assert len(left) == 1
    with serving("hypercorn", FASTAPI, tmp_path, workers=2):
        assert not set(left) & set(folders(tmp_path))
    assert folders(tmp_path) == []


def test_two_servers_do_not_share(tmp_path: Path) -> None:
    """A fault acts only in the service in which it was created."""
    with (
        serving("uvicorn", FASTAPI, tmp_path, workers=2) as one,
        serving("gunicorn", FASTAPI, tmp_path, workers=2) as other,
    ):
        one.change("PUT", "faults/f", json=ERROR)
        assert set(visit_both(other)) == {200}
        assert len(folders(tmp_path)) == 2


def test_processes_that_accept_from_one_inherited_socket_are_one_service(tmp_path: Path) -> None:
    """As circus and supervisord start them: several times `uvicorn --fd`."""
    with ExitStack() as stack:
        bound = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        command = [sys.executable, "-m", "uvicorn", FASTAPI, "--fd", str(bound.fileno())]
        log = tmp_path / "log"
        out = stack.enter_context(log.open("ab"))
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        processes = [
            subprocess.Popen(command, pass_fds=[bound.fileno()], env=environment, stdout=out, stderr=subprocess.STDOUT)
            for _ in range(2)
        ]
        for process in processes:
            stack.callback(process.wait, patience(20))
            stack.callback(process.terminate)
        served = Served("http://127.0.0.1:{}".format(*bound.getsockname()[1:]), processes[0], log)
        stack.enter_context(served.client)
        until(lambda: len(served.replicas()) == 2)
        assert served.change("PUT", "faults/f", json=ERROR)["receipt"]["replicas"] == {"applied": 2, "known": 2}
        hit = visit_both(served)
        assert set(hit) == {503}
        assert served.change("DELETE", "faults")["replicas"] == {"applied": 2, "known": 2}
        assert set(visit_both(served)) == {200}
        assert requests(counted(served), 503) == hit.total()


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_a_server_with_one_process_writes_no_files(server: str, tmp_path: Path) -> None:
    """Its faults are in its memory."""
    with serving(server, FASTAPI, tmp_path, WEB_CONCURRENCY="") as served:
        served.change("PUT", "faults/f", json=ERROR)
        assert served.get("/pid").status_code == 503
        assert folders(tmp_path) == []


def test_every_worker_serves_the_admin_port(tmp_path: Path) -> None:
    """It responds while any worker lives, and changes all workers."""
    port = free_port()
    with running("gunicorn", FASTAPI, tmp_path, workers=2, GUEST_ADMIN_PORT=str(port)) as served:
        steering = replace(served, url=f"http://127.0.0.1:{port}")
        until(lambda: len(steering.replicas()) == 2)
        steering.change("PUT", "faults/f", json=ERROR)
        assert set(visit_both(served)) == {503}
        dead, *_ = steering.replicas()
        os.kill(dead, signal.SIGKILL)
        until(lambda: steering.change("DELETE", "faults")["replicas"]["applied"])
        until(lambda: dead not in steering.replicas() and len(steering.replicas()) == 2)
        assert set(visit_both(served)) == {200}


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_a_frozen_worker_keeps_no_kill_switch_waiting_on_the_admin_port(server: str, tmp_path: Path) -> None:
    """The other worker accepts all connections."""
    port = free_port()
    with running(server, FASTAPI, tmp_path, workers=2, GUEST_ADMIN_PORT=str(port)) as served:
        steering = replace(served, url=f"http://127.0.0.1:{port}")
        until(lambda: len(steering.replicas()) == 2)
        frozen = psutil.Process(next(iter(steering.replicas())))
        frozen.suspend()
        until(lambda: frozen.status() == psutil.STATUS_STOPPED)
        for _ in range(16):
            answer = steering.client.delete(f"{steering.url}/admin/faults", timeout=patience(2))
            assert answer.status_code == 200
        frozen.resume()


def test_an_admin_port_that_another_service_has_is_refused(tmp_path: Path) -> None:
    """The log names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running("uvicorn", FASTAPI, tmp_path, workers=2, GUEST_ADMIN_PORT=str(port)) as served:
            until(lambda: f"CHAOSAPI_ADMIN_PORT: cannot listen on 127.0.0.1:{port}" in served.log.read_text())
            with pytest.raises(httpx2.ConnectError):
                httpx2.get(f"{served.url}/pid", timeout=patience(10))
