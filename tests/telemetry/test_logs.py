"""The format of the log, in separate processes: logging is configured once per process."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

import chaosapi
from chaosapi.telemetry import logs
from tests.patience import patience
from tests.runtime.test_admin_server import free_port

PROGRAM = """
import logging
from chaosapi.logger import REQUEST_ID, get_logger
from chaosapi.telemetry import logs
from chaosapi.settings import Settings

log = get_logger("chaosapi.mine")
logs.configure(Settings())
REQUEST_ID.set("abc-1")
log.info("much ado", path="/é")
logging.getLogger("theirs").info("nothing")
log.warning("beware", seconds=0.5)
logging.getLogger("theirs").warning("of %s", "March")
secret = "hidden"
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
"""


def written(**settings: str) -> str:
    """Run the program with these settings; return its output."""
    settings = {f"CHAOSAPI_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True).stdout


def lines(**settings: str) -> list[dict[str, Any]]:
    """Run the program; return its output as parsed JSON lines."""
    return [json.loads(line) for line in written(log_format="json", **settings).splitlines()]


def test_all_lines_have_the_same_format() -> None:
    """In the order of logging, from any library, with the id of the current request."""
    found = lines()
    assert [(line["event"], line["logger"], line["level"]) for line in found] == [
        ("much ado", "chaosapi.mine", "info"),
        ("nothing", "theirs", "info"),
        ("beware", "chaosapi.mine", "warning"),
        ("of March", "theirs", "warning"),
        ("broken", "chaosapi.mine", "error"),
    ]
    assert {line["request_id"] for line in found} == {"abc-1"}
    assert all(line["timestamp"].endswith("Z") for line in found)
    assert (found[0]["path"], found[2]["seconds"]) == ("/é", 0.5)


def test_a_traceback_has_frames_but_no_variables() -> None:
    """Variables may be secret."""
    (trace,) = lines(log_level="error")[0]["exception"]
    assert trace["exc_type"] == "ZeroDivisionError"
    assert trace["frames"]
    assert "hidden" not in str(trace)


def test_lines_below_the_level_are_left_out() -> None:
    """From any library."""
    assert [line["event"] for line in lines(log_level="warning")] == ["beware", "of March", "broken"]


def test_the_text_format_is_readable() -> None:
    """It is not JSON, and has one line per event."""
    text = written(log_format="console", log_level="warning")
    assert "beware" in text.splitlines()[0]
    assert not text.startswith("{")


def test_invalid_unicode_is_logged() -> None:
    """Logging it does not raise."""
    program = PROGRAM + 'log.info("odd", path="\\ud800", keys={1: 2})'
    command = [sys.executable, "-c", program]
    written = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout
    assert json.loads(written.splitlines()[-1])["path"] == "\ud800"


def test_warnings_and_text_on_stderr_are_logged() -> None:
    """Warnings are log lines."""
    program = PROGRAM + 'import sys, warnings; warnings.warn("old"); print("plain", file=sys.stderr)'
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert "old" in json.loads(done.stdout.splitlines()[-1])["event"]
    assert done.stderr == "plain\n"


AUDITED = """
from chaosapi.logger import get_logger
from chaosapi.settings import Settings
from chaosapi.telemetry import logs

logs.configure(Settings())
get_logger("chaosapi.audit").info("fault created", fault="slow")
get_logger("chaosapi.store").debug("below the level")
get_logger("chaosapi.store").warning("the store is away")
get_logger("chaosapi.access").info("request", path="/a")
get_logger("shop.db").warning("call failed")
"""


def audited(where: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Log lines of the shop and of the control plane."""
    settings = {"CHAOSAPI_AUDIT_LOG": where, **more}
    return subprocess.run(
        [sys.executable, "-c", AUDITED], check=False, env=os.environ | settings, capture_output=True, text=True
    )


def events(text: str) -> list[str]:
    """Return the events of JSON lines."""
    return [json.loads(line)["event"] for line in text.splitlines()]


def test_lines_about_faults_can_have_a_file_of_their_own(tmp_path: Path) -> None:
    """A new start adds to it; only its user can read it."""
    file = tmp_path / "audit.log"
    shop = [events(audited(str(file)).stdout) for _ in range(2)]
    assert shop == [["request", "call failed"]] * 2
    assert events(file.read_text()) == ["fault created", "the store is away"] * 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_lines_about_faults_are_with_the_others_or_nowhere() -> None:
    assert events(audited("stdout").stdout) == ["fault created", "the store is away", "request", "call failed"]
    assert events(audited("off").stdout) == ["request", "call failed"]


def test_a_blind_service_does_not_log_them_with_the_others(tmp_path: Path) -> None:
    """Nowhere unless it has a file."""
    assert events(audited(CHAOSAPI_BLIND="true").stdout) == ["request", "call failed"]
    audited(str(tmp_path / "audit.log"), CHAOSAPI_BLIND="true")
    assert events((tmp_path / "audit.log").read_text()) == ["fault created", "the store is away"]
    assert "CHAOSAPI_AUDIT_LOG names faults" in audited("stdout", CHAOSAPI_BLIND="true").stderr


def test_an_audit_log_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """A FIFO that nobody reads, too: opening it would wait for ever."""
    os.mkfifo(tmp_path / "fifo")
    for bad, why in ((tmp_path, "Is a directory"), (tmp_path / "fifo", "No such device or address")):
        assert "SettingsError: CHAOSAPI_AUDIT_LOG: [Errno" in (found := audited(str(bad)).stderr)
        assert why in found


def test_lines_about_faults_have_loggers_of_the_audit() -> None:
    """Every logger of a module that names faults, their store or the admin API in a line."""
    found: dict[str, list[str]] = {}
    for file in (Path(chaosapi.__file__).parent).rglob("*.py"):
        text = file.read_text()
        names = re.findall(r"""^log = get_logger\("(.+)"\)""", text, re.MULTILINE)
        calls = re.findall(r"""^ +log\.(?:info|warning|error|exception)\((?:[^()]|\([^()]*\))*\)""", text, re.MULTILINE)
        for name in names:
            found.setdefault(name, []).extend(calls)
    naming = {
        name for name, calls in found.items() if re.search(r"fault|effect|kill switch|store|admin API", str(calls))
    }
    assert naming <= logs.AUDIT_LOGGERS <= found.keys()
    assert len(naming) > 4


@contextmanager
def _reader_that_stands_still() -> Iterator[int]:
    reader, writer = os.pipe()
    try:
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def _reader_that_has_gone() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@contextmanager
def _full_disk() -> Iterator[int]:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - not a path
        yield full.fileno()


@contextmanager
def _nothing_at_all() -> Iterator[int]:
    yield -1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "workers"),
    [
        (_reader_that_stands_still, "1"),
        (_reader_that_stands_still, "2"),
        (_reader_that_has_gone, "1"),
        (_full_disk, "1"),
        (_nothing_at_all, "2"),
    ],
)
def test_a_log_that_cannot_be_written_affects_no_request(output: Callable[[], Any], workers: str) -> None:
    """Users, probes, the kill switch and SIGTERM go on; what is lost is counted.

    Each line is long, so that they fill whatever room there is.
    """
    users = free_port()
    admin = free_port()
    command = [sys.executable, "-m", "chaosapi", "serve", "--port", str(users), "--admin-port", str(admin)]
    closing = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh"]  # the shell's way to start with closed streams
    settings = os.environ | {"CHAOSAPI_LOG_FORMAT": "json", "CHAOSAPI_WORKERS": workers}
    with output() as fd, httpx2.Client(timeout=patience(10)) as client:
        streams = {"stdout": fd, "stderr": fd} if fd >= 0 else {}
        process = subprocess.Popen([*(() if streams else closing), *command], env=settings, **streams)
        try:
            ready(f"http://127.0.0.1:{users}/readyz", process)
            client.post(f"http://127.0.0.1:{admin}/admin/faults", json={"effect": {"type": "error"}}).raise_for_status()
            for _ in range(1_600):
                assert client.get(f"http://127.0.0.1:{users}/nowhere/{'x' * 7_000}").status_code == 404
            assert client.get(f"http://127.0.0.1:{users}/readyz").status_code == 200
            ended = client.delete(f"http://127.0.0.1:{admin}/admin/faults")
            assert ended.status_code == 200
            metrics = client.get(f"http://127.0.0.1:{admin}/metrics").text
            dropped = re.search(r"^chaosapi_log_lines_dropped_total (\S+)", metrics, re.MULTILINE)
            assert dropped
            assert float(dropped[1]) > 100
            process.send_signal(signal.SIGTERM)
            assert process.wait(patience(30)) == 0
        finally:
            process.kill()
            process.wait(patience(30))


def ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once the service is ready; it cannot say so itself."""
    deadline = time.monotonic() + patience(60)
    while time.monotonic() < deadline:
        assert process.poll() is None
        with suppress(httpx2.HTTPError):
            if httpx2.get(url, timeout=patience(10)).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("never ready")
