"""A lab around a user's service: an app that the lab starts, or a running service."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from chaosapi.lab import service
from chaosapi.lab.errors import LabError
from chaosapi.lab.ports import Ports
from chaosapi.lab.processes import Programs
from chaosapi.lab.service import RunningService
from tests.lab.test_lab import ENVIRONMENT, eventually, listening, run
from tests.patience import patience

APP = """
import os
from fastapi import FastAPI
app = FastAPI()

@app.get("/items/{item_id}")
def show(item_id: int): return item_id

@app.get("/broken")
def broken(): return int("x")

if "INSTALL" in os.environ:
    import chaosapi
    chaosapi.install(app)
"""
SLO = """
version: prometheus/v1
service: items
slos:
  - name: availability
    objective: 99.9
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="items", handler="/items/{item_id}", status=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="items", handler="/items/{item_id}"}[{{.window}}]))
    alerting: {}
"""
LOCUSTFILE = """
from locust import FastHttpUser, constant_throughput, task

class Reader(FastHttpUser):
    wait_time = constant_throughput(10)

    @task
    def read(self) -> None:
        self.client.get("/items/7", name="/items/{item_id}")
"""
TOKEN = "the-token-of-this-service"  # noqa: S105 - of a test


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an app, its SLOs and a Locust file."""
    (tmp_path / "items_app.py").write_text(APP)
    (tmp_path / "slo.yml").write_text(SLO)
    (tmp_path / "locustfile.py").write_text(LOCUSTFILE)
    return tmp_path


@contextmanager
def serving(folder: Path, port: int, settings: dict[str, str]) -> Iterator[str]:
    """Run the app with chaosapi installed, as a user would; return its URL when it responds."""
    command = [sys.executable, "-m", "uvicorn", "items_app:app", "--port", str(port), "--log-level", "warning"]
    env = {**ENVIRONMENT, "INSTALL": "yes", **settings}
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx2.get(f"{url}/items/1").status_code == 200
        except httpx2.HTTPError:
            return False

    with subprocess.Popen(command, cwd=folder, env=env) as process:
        try:
            assert eventually(answers)
            yield url
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--app", "no_such:app", "--slo", "slo.yml"], 'Could not import module "no_such"'),
        (["--app", "items_app:ap", "--slo", "slo.yml"], "It has: app."),
        (["--app", "items_app:os", "--slo", "slo.yml"], "module is not an ASGI app"),
        (["--app", "items_app:app", "--slo", "typo.yml"], 'has handler="/itmes"; there are /broken, /items/{item_id}'),
    ],
)
def test_errors_are_on_one_line(
    options: list[str], said: str, folder: Path, lab_ports: dict[str, int], tools: dict[str, Path]
) -> None:
    """With the valid form; no process is left."""
    (folder / "typo.yml").write_text(SLO.replace('handler="/items/{item_id}"', 'handler="/itmes"'))
    done = run("lab", lab_ports, folder, "--once", *options)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert eventually(lambda: listening(lab_ports) == [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--app", "items_app:app"], "--slo"),
        (["--slo", "slo.yml"], "--app or --target"),
        (["--locustfile", "locustfile.py"], "--app or --target"),
        (["--app", "items_app:app", "--slo", "slo.yml", "--admin-url", "http://127.0.0.1:1"], "needs --target"),
        (["--app", "items_app:app", "--target", "http://127.0.0.1:1", "--slo", "slo.yml"], "either --app or --target"),
    ],
)
def test_options_that_need_each_other_are_checked(
    options: list[str], said: str, folder: Path, lab_ports: dict[str, int]
) -> None:
    """Before any part starts."""
    done = run("lab", lab_ports, folder, "--once", *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_an_app_that_breaks_on_import_shows_its_traceback(
    folder: Path, lab_ports: dict[str, int], tools: dict[str, Path]
) -> None:
    """The error is in the user's code."""
    (folder / "items_app.py").write_text("import no_such_dependency\n")
    done = run("lab", lab_ports, folder, "--once", "--app", "items_app:app", "--slo", "slo.yml")
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'no_such_dependency'" in done.stderr


def test_a_port_in_use_is_named(folder: Path, lab_ports: dict[str, int], tools: dict[str, Path]) -> None:
    """The check precedes the import of the app."""
    with serving(folder, lab_ports["--port"], {}):
        done = run("lab", lab_ports, folder, "--once", "--app", "items_app:app", "--slo", "slo.yml")
    assert done.returncode == 1
    assert f"port {lab_ports['--port']} is taken" in done.stderr


def test_a_targets_admin_api_is_found(folder: Path, lab_ports: dict[str, int], tmp_path: Path) -> None:
    """On the users' port, on the next port, or at the given URL; a wrong token differs from a missing service."""
    port = lab_ports["--port"]
    admin = lab_ports["--admin-port"]
    slo = folder / "slo.yml"

    def found(url: str, given: str | None = None, token: str | None = None) -> service.Endpoints:
        with Programs(tmp_path / "logs") as parts:
            return RunningService(url, slo, given).start(parts, Ports(), "lab", token)

    with serving(folder, port, {}) as url:
        assert found(f"{url}/") == service.Endpoints(url, url, f"{url}/metrics")
    other = f"http://127.0.0.1:{admin}"
    with serving(folder, port, {"CHAOSAPI_ADMIN_PORT": str(admin), "CHAOSAPI_ADMIN_TOKEN": TOKEN}) as url:
        assert found(url, other, TOKEN) == service.Endpoints(url, other, f"{url}/metrics")
        with pytest.raises(LabError, match="asks for its token: give --token"):
            found(url, other)
        if admin != port + 1:
            with pytest.raises(LabError, match=r"no admin API at .*--admin-url"):
                found(url)
    with pytest.raises(LabError, match=f"no admin API at {url}"):
        found(url)


@pytest.mark.slow
def test_a_running_service_is_monitored_and_keeps_running(
    folder: Path, lab_ports: dict[str, int], tools: dict[str, Path]
) -> None:
    """With a token and a custom Locust file; alerts reach its webhook, and it responds after the lab has ended."""
    port = lab_ports["--port"]
    admin = lab_ports["--admin-port"]
    settings = {"CHAOSAPI_ADMIN_PORT": str(admin), "CHAOSAPI_ADMIN_TOKEN": TOKEN}
    headers = {"authorization": f"Bearer {TOKEN}"}
    fault = {"effect": {"type": "error", "status": 503}, "rate": 0.5}
    with serving(folder, port, settings) as url:
        admin_url = f"http://127.0.0.1:{admin}"
        words = [word for option, number in lab_ports.items() for word in (option, str(number))]
        options = ["--target", url, "--slo", "slo.yml", "--admin-url", admin_url, "--token", TOKEN]
        load = ["--locustfile", "locustfile.py", "--rate", "2", "--data-dir", "data"]
        command = [sys.executable, "-m", "chaosapi", "lab", *words, *options, *load]
        log = folder / "lab.log"
        with log.open("w") as output, subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=output) as lab:
            try:
                assert eventually(lambda: "targets 2/2 up" in log.read_text()), log.read_text()
                query = 'sum(rate(http_requests_total{job="items"}[5m]))'
                here = f"http://127.0.0.1:{lab_ports['--prometheus-port']}/api/v1/query"
                (found,) = httpx2.get(here, params={"query": query}).json()["data"]["result"]
                assert float(found["value"][1]) == pytest.approx(20, rel=0.1)  # two users, ten requests a second each
                made = httpx2.post(f"{admin_url}/admin/faults", json=fault, headers=headers)
                assert made.status_code == 201, made.text

                def delivered() -> bool:
                    alerts = httpx2.get(f"{admin_url}/admin/alerts", headers=headers).json()["alerts"]
                    return any(alert["labels"]["slo"] == "availability" for alert in alerts)

                assert eventually(delivered)
            finally:
                lab.terminate()
                assert lab.wait(patience(60)) == 143
        assert httpx2.get(f"{url}/items/1").status_code in {200, 503}
        assert "locustfile" not in log.read_text()


@pytest.mark.slow
def test_an_app_gets_the_users_environment(
    folder: Path, lab_ports: dict[str, int], tools: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the user had started it; the app installs chaosapi itself, and Locust also visits failing routes."""
    monkeypatch.setitem(ENVIRONMENT, "INSTALL", "yes")
    options = ["--app", "items_app:app", "--slo", "slo.yml", "--data-dir", "data"]
    done = run("lab", lab_ports, folder, "--once", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("targets 2/2 up")
    assert "GET /broken answers 500" in done.stdout.splitlines()
    assert "GET /items/{item_id} answers" not in done.stdout
    assert '("/broken", "/broken", {})' in (folder / "data" / "locustfile.py").read_text()
