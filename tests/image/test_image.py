"""The images from outside: the main loop, signals, and what is not in them. Start times: `-s` prints them."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.image.conftest import Engine
from tests.patience import patience

pytestmark = [pytest.mark.slow, pytest.mark.timeout(patience(900))]

UID = random.randint(20_000, 60_000)


@dataclass(frozen=True)
class Container:
    """A running container: its name, and the URLs for users and for the admin API."""

    name: str
    users: httpx2.Client
    admin: httpx2.Client

    def inject(self, effect: dict[str, Any]) -> None:
        self.admin.put("/admin/faults/f", json={"effect": effect}).raise_for_status()


@pytest.fixture
def service(engine: Engine, images: dict[str, str], port: int) -> Iterator[Container]:
    """Start the image as some user, read-only; return the container when it is ready."""
    settings = {"CHAOSAPI_HOST": "127.0.0.1", "CHAOSAPI_PORT": str(port), "CHAOSAPI_ADMIN_PORT": str(port + 1)}
    started = time.monotonic()
    name = engine.start(images["service"], user=UID, **settings)
    with (
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=patience(30)) as users,
        httpx2.Client(base_url=f"http://127.0.0.1:{port + 1}", timeout=patience(30)) as admin,
    ):
        while not _ready(users):
            state = engine.podman("inspect", "--format", "{{.State.Running}}", name).stdout.strip()
            assert state == "true", engine.podman("logs", name).stdout
            time.sleep(0.02)
        print(f"ready {time.monotonic() - started:.2f} s after `podman run`, as user {UID}")  # noqa: T201 - for `-s`
        yield Container(name, users, admin)
    engine.remove()


def _ready(users: httpx2.Client) -> bool:
    with suppress(httpx2.HTTPError):
        return users.get("/readyz").status_code == 200
    return False


def test_the_main_loop_from_outside(service: Container, engine: Engine) -> None:
    """A fault is injected, acts, is counted and ended; the health check follows the service."""
    assert service.users.get("/api/products").status_code == 200
    service.inject({"type": "error"})
    assert service.users.get("/api/products").status_code == 503
    assert 'chaosapi_fault_injected_total{effect="error",fault="f"} 1.0' in service.admin.get("/admin/metrics").text
    assert service.admin.delete("/admin/faults").json()["ended"] == 1
    assert service.users.get("/api/products").status_code == 200
    assert engine.podman("healthcheck", "run", service.name).returncode == 0
    service.inject({"type": "health", "probe": "liveness"})
    assert engine.podman("healthcheck", "run", service.name, check=False).returncode != 0


def test_on_sigterm_a_request_in_progress_is_answered_and_the_exit_code_is_0(
    service: Container, engine: Engine
) -> None:
    """The first process of a container gets the signal itself."""
    service.inject({"type": "latency", "distribution": {"type": "constant", "value": "2s"}})
    answers: list[int] = []
    slow = threading.Thread(target=lambda: answers.append(service.users.get("/api/products").status_code))
    slow.start()
    while "chaosapi_held_requests 1.0" not in service.admin.get("/admin/metrics").text:
        time.sleep(0.02)
    engine.podman("stop", "--time", "30", service.name)
    slow.join(patience(30))
    assert answers == [200]
    assert engine.podman("inspect", "--format", "{{.State.ExitCode}}", service.name).stdout.strip() == "0"


def test_a_crash_ends_the_container(engine: Engine, images: dict[str, str], port: int) -> None:
    """Also by a signal, which the first process of a container ignores: the status is that of an OOM kill."""
    settings = {"CHAOSAPI_HOST": "127.0.0.1", "CHAOSAPI_PORT": str(port), "CHAOSAPI_ADMIN_PORT": str(port + 1)}
    name = engine.start(images["service"], user=UID, CHAOSAPI_ALLOW_CRASH="true", **settings)
    fault = {"effect": {"type": "crash", "signal": "SIGKILL", "after": "500ms"}}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=patience(30)) as users:
        while not _ready(users):
            time.sleep(0.02)
    httpx2.post(f"http://127.0.0.1:{port + 1}/admin/faults", json=fault, timeout=patience(30)).raise_for_status()
    assert engine.podman("wait", name).stdout.strip() == "137"


def test_without_a_token_startup_fails_with_a_hint(engine: Engine, images: dict[str, str]) -> None:
    """In a container it listens on every address."""
    name = engine.start(images["service"], user=UID)
    assert engine.podman("wait", name).stdout.strip() == "2"
    assert "CHAOSAPI_ADMIN_TOKEN" in engine.podman("logs", name).stderr


def test_nothing_to_install_or_build_with_is_inside(engine: Engine, images: dict[str, str]) -> None:
    """Neither pip nor a compiler, and nothing of ours can be written."""
    look = (
        "for name in pip pip3 gcc cc make git curl; do command -v $name; done; "
        "for module in pip ensurepip hatchling; do python3 -m $module --version 2>/dev/null; done; "
        "for place in / /venv /app /loadtests; do test -w $place && echo $place; done; true"
    )
    for image in images.values():
        said = engine.podman("run", "--rm", "--network", "host", "--entrypoint", "sh", image, "-c", look)
        assert said.stdout == ""


def test_the_configuration_is_what_a_cluster_asks_for(engine: Engine, images: dict[str, str]) -> None:
    """A numeric user, commands without a shell, a handled stop signal, labels."""
    for target, image in images.items():
        config = json.loads(engine.podman("inspect", image).stdout)[0]["Config"]
        assert config["User"] == "10001:10001"
        assert config["StopSignal"] in {"SIGTERM", "15"}
        assert config["Entrypoint"] == ["chaosapi" if target == "service" else "locust"]
        assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_locust_finds_its_scenarios(service: Container, engine: Engine, images: dict[str, str]) -> None:
    """Its image sends a short scenario to the service, every request of it, and exits with 0."""
    command = ["--headless", "--scenario", "steady", "--rate", "20", "--duration", "3s", "--host"]
    name = engine.start(images["locust"], *command, str(service.users.base_url), user=UID)
    assert engine.podman("wait", name).stdout.strip() == "0", engine.podman("logs", name).stderr
    lines = service.users.get("/metrics").text.splitlines()
    served = sum(float(line.split()[-1]) for line in lines if line.startswith("http_requests_total"))
    assert served >= 40
