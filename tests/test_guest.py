"""The effects of chaosapi on its host process."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("guest_program.py")
OPTIONAL = ("numpy", "yaml", "rich", "typer", "uvicorn", "promql_parser", "httpx2", "structlog", "fastapi_offline")


def visited(folder: Path, *blocked: str, before: str = "pass") -> dict[str, Any]:
    """Run the host app in a separate process, which must print nothing; return its report."""
    code = f"import runpy, sys; sys.argv = sys.argv[1:]; {before}; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, PROGRAM, folder / "report.json", *blocked],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def check_answers(report: dict[str, Any]) -> None:
    """Check that faults act, and that the admin API, its description and metrics work."""
    answers = report["answers"]
    fine, put, hit, hello, patched, shown, ended, again = answers[:8]
    wrong, method, metrics, described, docs, ready, theirs = answers[8:]
    assert fine == again == [200, 7]
    assert (put[0], hit[0], hello) == (201, 503, [202, "hello"])
    assert (patched[0], shown[1]["target"]["points"]) == (200, ["db"])
    assert (shown[1]["receipt"]["injected"], ended[1]["ended"]) == (1, 1)
    assert (wrong[0], method[0], docs[0], ready[0]) == (422, 405, 200, 200)
    assert wrong[1]["errors"][0]["field"] == "effect"
    count = 'http_requests_total{handler="/shop/orders/{number}",method="GET",status="503"} 1.0'
    assert count in metrics[1]
    assert 'handler="/hello",method="GET",status="202"' in metrics[1]
    assert "/admin/forecast" in described[1]["paths"]
    assert "/shop/orders/{number}" in theirs[1]["paths"]


def test_a_guest_leaves_its_host_unchanged(tmp_path: Path) -> None:
    """At installation and while faults act; it prints nothing."""
    report = visited(tmp_path)
    check_answers(report)
    assert report["installed"]["interpreter"] == report["ended"]["interpreter"] == report["started"]


def test_a_guest_imports_only_what_it_needs(tmp_path: Path) -> None:
    """With all extras installed, until the first forecast."""
    report = visited(tmp_path)
    assert report["installed"]["loaded"] == report["ended"]["loaded"] == []
    assert [status for status, _ in report["forecasts"]] == [200, 201, 201]


def test_without_the_extras_the_rest_works(tmp_path: Path) -> None:
    """A route that needs an extra names it in a problem document."""
    report = visited(tmp_path, *OPTIONAL)
    check_answers(report)
    for status, problem in report["forecasts"]:
        assert (status, problem["type"]) == (501, "urn:chaosapi:problem:not-installed")
        assert problem["detail"] == "a forecast needs the forecast extra: pip install 'chaosapi[forecast]'"


def test_the_hosts_structlog_configuration_is_unchanged(tmp_path: Path) -> None:
    """Whether it was configured before or is configured later."""
    check = "import structlog, atexit, os; atexit.register(lambda: structlog.is_configured() and os._exit(9))"
    check_answers(visited(tmp_path, before=check))


def test_a_host_can_enable_logs(tmp_path: Path) -> None:
    """In its own handlers, under chaosapi's logger names: the access rule, and a line per request."""
    log = tmp_path / "host.log"
    visited(tmp_path, before=f"import logging; logging.basicConfig(filename={str(log)!r}, level=logging.INFO)")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("WARNING:chaosapi:") for line in lines)
    (access,) = [line for line in lines if "path='/hello'" in line and "method='GET'" in line]
    assert access.startswith("INFO:chaosapi.access:request request_id=")


@pytest.mark.parametrize(
    ("setting", "extra"),
    [("CHAOSAPI_SLO", "forecast"), ("CHAOSAPI_ADMIN_PORT", "serve"), ("CHAOSAPI_STORE", "redis")],
)
def test_a_setting_that_needs_an_extra_is_reported_at_startup(setting: str, extra: str) -> None:
    """Not at the first request."""
    value = {"CHAOSAPI_SLO": "slo.yaml", "CHAOSAPI_ADMIN_PORT": "0", "CHAOSAPI_STORE": "redis://127.0.0.1:1"}[setting]
    script = (
        "import sys\n"
        f"for name in {(*OPTIONAL, 'redis')}: sys.modules[name] = None\n"
        "import fastapi, chaosapi\n"
        "app = fastapi.FastAPI()\n"
        "chaosapi.install(app)\n"
        "try:\n"
        "    app.build_middleware_stack()\n"
        "except ValueError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={setting: value}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.startswith(f"SettingsError {setting}"), done.stderr
    assert f"pip install 'chaosapi[{extra}]'" in done.stdout


def test_the_package_logger_has_a_null_handler() -> None:
    """Without a handler Python would print warnings to stderr."""
    import chaosapi  # noqa: F401 - what it registers is the point

    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("chaosapi").handlers)
