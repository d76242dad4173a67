import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Serve
from tests.patience import patience

pytestmark = pytest.mark.slow


def test_an_unsafe_address_is_refused_before_anything_listens() -> None:
    """Exit code 2, with the three options."""
    command = [sys.executable, "-m", "chaosapi", "serve", "--host", "0.0.0.0"]  # noqa: S104 - refused
    failed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(30))
    assert failed.returncode == 2
    assert "CHAOSAPI_ADMIN_OPEN" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_wrong_setting_is_named() -> None:
    """By its environment variable."""
    failed = subprocess.run(
        [sys.executable, "-m", "chaosapi", "serve"],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(30),
        env={**os.environ, "CHAOSAPI_MAX_HELD": "none"},
    )
    assert failed.returncode == 2
    assert "CHAOSAPI_MAX_HELD" in failed.stderr


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(ending: signal.Signals) -> None:
    """The log has the shutdown, without a traceback."""
    command = [sys.executable, "-m", "chaosapi", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if "Uvicorn running on" in line:
                break
        process.send_signal(ending)
        rest = process.stdout.read()
        process.wait(patience(20))
    assert "Finished server process" in rest
    assert "Traceback" not in rest


def test_the_docs_page_loads_nothing_from_outside(serve: Serve) -> None:
    """The page and all its resources come from the service."""
    url = serve()
    planes = {"": ("/static-offline-docs", "/api/checkout"), "/admin": ("/admin/static", "/admin/faults")}
    for plane, (static, path) in planes.items():
        page = httpx2.get(f"{url}{plane}/docs").text
        assert "https://" not in page.replace("https://swagger.io", "")
        assert httpx2.get(f"{url}{static}/swagger-ui-bundle.js").status_code == 200
        assert path in httpx2.get(f"{url}{plane}/openapi.json").json()["paths"]


def test_the_service_variables_of_kubernetes_are_ignored_with_a_warning(serve: Serve, tmp_path: Path) -> None:
    """Every pod has them if a Service is named chaosapi."""
    url = serve(CHAOSAPI_ADMIN_PORT="tcp://10.0.0.1:8001", CHAOSAPI_PORT="tcp://10.0.0.1:8000")
    assert httpx2.get(f"{url}/admin/faults").status_code == 200
    (log,) = tmp_path.glob("serve-*.log")
    for name in ("CHAOSAPI_PORT", "CHAOSAPI_ADMIN_PORT"):
        assert f"chaosapi: {name}=tcp://10.0.0.1" in log.read_text()
    assert "enableServiceLinks: false" in log.read_text()
