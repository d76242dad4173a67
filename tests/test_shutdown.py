"""Shutdown in library mode: held requests do not delay it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chaosapi.runtime import lifespan
from tests.patience import patience
from tests.servers import until

pytestmark = pytest.mark.slow

_GUNICORN = "gunicorn {app} -b 127.0.0.1:{port} --graceful-timeout 3600 -k"
COMMANDS = {
    "uvicorn": "uvicorn {app} --port {port}",
    "uvicorn-two": "uvicorn {app} --port {port} --workers 2",
    "gunicorn": f"{_GUNICORN} uvicorn_worker.UvicornWorker",
    "gunicorn-asgi": f"{_GUNICORN} asgi",
    "hypercorn": "hypercorn {app} -b 127.0.0.1:{port} --graceful-timeout 3600",
    "granian": "granian {app} --interface asgi --port {port}",
    "granian-two": "granian {app} --interface asgi --port {port} --workers 2",
}
HIDDEN_CONNECTION = {"gunicorn-asgi", "granian", "granian-two"}
"""Servers that hide their connection, where hang is skipped."""
HOUR = {"type": "constant", "value": "1h"}
EFFECTS: dict[str, dict[str, Any]] = {
    "hang": {"type": "hang", "at_most": "1h"},
    "latency": {"type": "latency", "distribution": HOUR, "cap": "2h"},
    "floor": {"type": "latency", "distribution": HOUR, "cap": "2h", "mode": "floor"},
    "throttle": {"type": "throttle", "bytes_per_second": 1},
}


def ask(url: str, kind: str) -> None:
    """Send a request that a fault holds; ignore its outcome."""
    with contextlib.suppress(httpx2.TransportError):
        httpx2.get(url, headers={"x-kind": kind}, timeout=patience(120))


def _count_replicas(url: str) -> int:
    return len(httpx2.get(f"{url}/admin/replicas").raise_for_status().json()["replicas"])


@pytest.mark.parametrize("server", COMMANDS)
def test_a_server_shuts_down_while_faults_hold_requests(server: str, tmp_path: Path) -> None:
    """Each server waits for its requests, up to an hour: the faults release them within some seconds."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    effects = {name: effect for name, effect in EFFECTS.items() if name != "hang" or server not in HIDDEN_CONNECTION}
    command = [sys.executable, "-m", *COMMANDS[server].format(app="tests.guest:app", port=port).split()]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            workers = 2 if server.endswith("-two") else 1
            until(lambda: process.poll() is not None or _count_replicas(url) == workers)
            for name, effect in effects.items():
                fault = {"effect": effect, "target": {"headers": {"x-kind": name}}, "schedule": {"duration": "2h"}}
                # A worker that does not know the fault yet would answer at once.
                httpx2.put(f"{url}/admin/faults/{name}?wait=20s", json=fault, timeout=30).raise_for_status()
            clients = [threading.Thread(target=ask, args=(f"{url}/word", name)) for name in effects]
            for client in clients:
                client.start()
            until(lambda: f"chaosapi_held_requests {len(effects)}.0" in httpx2.get(f"{url}/admin/metrics").text)
            process.send_signal(signal.SIGTERM)
            process.wait(patience(40))
        finally:
            process.kill()
    for client in clients:
        client.join(patience(20))


def test_the_hosts_signal_handler_is_called_and_restored() -> None:
    """A custom handler is called too; one that the host sets later stays."""
    heard: list[int] = []

    def theirs(number: int, _: object) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, theirs)
    try:
        with lifespan.stop_probe() as should_exit:
            assert not should_exit()
            os.kill(os.getpid(), signal.SIGTERM)
            assert should_exit()
        assert heard == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is theirs
        with lifespan.stop_probe():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        with lifespan.stop_probe():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
