import gc
import resource
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from chaosapi.runtime.admin_server import AdminServer
from tests.patience import patience
from tests.planes import COMMAND, started


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def test_the_admin_server_runs_in_its_own_thread_until_it_is_stopped() -> None:
    """The thread that started it is blocked meanwhile."""
    port = free_port()
    listener = AdminServer(PlainTextResponse("here"), "127.0.0.1", port)
    before = sys.getswitchinterval(), gc.get_threshold()
    listener.start()
    listener.start()  # the app may be started twice: once is enough
    try:
        assert httpx2.get(f"http://127.0.0.1:{port}/", timeout=patience(20)).text == "here"
        assert (sys.getswitchinterval(), gc.get_threshold()) == before
    finally:
        listener.stop()
    assert "chaosapi-admin" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{port}/", timeout=patience(20))
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


def test_a_port_in_use_is_named_with_its_setting() -> None:
    """The error comes before the first request."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"^CHAOSAPI_ADMIN_PORT: cannot listen on 127\.0\.0\.1:{port}: Address"):
            AdminServer(PlainTextResponse(""), "127.0.0.1", port).start()


def test_a_failed_startup_of_the_app_is_reported() -> None:
    """The caller gets the error, and no thread is left."""
    before = sys.getswitchinterval(), gc.get_threshold()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no store"})

    with pytest.raises(RuntimeError, match="the admin API did not start"):
        AdminServer(app, "127.0.0.1", free_port()).start()
    assert "chaosapi-admin" not in {thread.name for thread in threading.enumerate()}
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


@pytest.mark.slow
def test_the_service_does_not_start_without_its_admin_port() -> None:
    """Exit code 3, as uvicorn's for a failed startup; no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = subprocess.run(
            [*COMMAND, "--admin-port", str(port)], capture_output=True, text=True, check=False, timeout=patience(60)
        )
    assert failed.returncode == 3
    output = failed.stdout + failed.stderr
    assert f"CHAOSAPI_ADMIN_PORT: cannot listen on 127.0.0.1:{port}" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_the_admin_api_moves_to_the_admin_port(tmp_path: Path) -> None:
    """The main port does not name it; metrics and probes are on both ports; the shop is on the main port only."""
    with started(tmp_path / "log") as planes:
        for path in ("/admin/faults", "/admin/docs", "/hooks/alertmanager"):
            moved = httpx2.get(f"{planes.users}{path}")
            assert moved.status_code == 404
            assert moved.json()["detail"] == f"there is nothing at /{path.split('/')[1]}"
        assert httpx2.get(f"{planes.admin}/admin/faults").status_code == 200
        for path in ("/metrics", "/healthz", "/readyz"):
            assert httpx2.get(f"{planes.users}{path}").status_code == 200
            assert httpx2.get(f"{planes.admin}{path}").status_code == 200
        assert httpx2.get(f"{planes.users}/api/products").status_code == 200
        assert httpx2.get(f"{planes.admin}/api/products").status_code == 404
        planes.inject({"type": "error"})
        assert httpx2.get(f"{planes.users}/api/products").status_code == 503


FEW = 128
"""The descriptor limit of the process."""
ULIMIT = ["sh", "-c", f'ulimit -n {FEW}; exec "$@"', "sh"]


def flood(stack: ExitStack, url: str, count: int, sent: bytes = b"") -> None:
    """Open connections and keep them; those that are not accepted wait."""
    for _ in range(count):
        connection = stack.enter_context(socket.socket())
        connection.setblocking(False)
        with suppress(BlockingIOError):
            connection.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        with suppress(OSError):  # not connected yet
            connection.send(sent)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_flood_of_users_does_not_block_the_kill_switch(workers: str, tmp_path: Path) -> None:
    """With few descriptors: idle connections, slow heads, slow bodies, requests that a fault holds, and churn.

    Users come through as well, while idle connections are all that is in their way.
    """
    with started(tmp_path / "log", prefix=ULIMIT, CHAOSAPI_WORKERS=workers) as planes, ExitStack() as stack:
        for sent in (
            b"",
            b"GET / HTTP/1.1\r\nX:",
            b"POST /api/checkout HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
        ):
            flood(stack, planes.users, 4 * FEW, sent)
            planes.inject({"type": "error"})
            assert httpx2.get(f"{planes.users}/api/products", timeout=patience(30)).status_code in {200, 503}
            assert httpx2.delete(f"{planes.admin}/admin/faults", timeout=patience(10)).status_code == 200
        planes.inject({"type": "hang"})
        flood(stack, planes.users, 4 * FEW, b"GET /api/products HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(5):
            flood(stack, planes.users, FEW)
            assert httpx2.get(f"{planes.admin}/readyz", timeout=patience(10)).status_code == 200
        assert httpx2.delete(f"{planes.admin}/admin/faults", timeout=patience(10)).status_code == 200


@pytest.mark.slow
def test_idle_connections_do_not_block_the_kill_switch(tmp_path: Path) -> None:
    """On the shared port and on its own: only requests in progress can fill a port."""
    with started(tmp_path / "log", prefix=ULIMIT, apart=False) as planes, ExitStack() as stack:
        planes.inject({"type": "error"})
        flood(stack, planes.users, 4 * FEW, b"GET / HTTP/1.1\r\nX:")
        assert httpx2.delete(f"{planes.users}/admin/faults", timeout=patience(10)).status_code == 200
    with started(tmp_path / "log", prefix=ULIMIT) as planes, ExitStack() as stack:
        flood(stack, planes.admin, 4 * FEW)
        assert httpx2.delete(f"{planes.admin}/admin/faults", timeout=patience(10)).status_code == 200


@pytest.mark.slow
def test_the_service_raises_its_descriptor_limit(tmp_path: Path) -> None:
    """The soft limit is meant for programs that use select(2)."""
    with started(tmp_path / "log", prefix=["sh", "-c", f'ulimit -S -n {FEW}; exec "$@"', "sh"]) as planes:
        soft, hard = resource.prlimit(planes.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard > FEW
