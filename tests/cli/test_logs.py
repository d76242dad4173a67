"""`chaosapi logs`: select, count, follow and print lines."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chaosapi.cli import app, log_file
from chaosapi.lab_addresses import LabAddresses, published
from chaosapi.text import is_plain
from tests.patience import patience

AT = datetime(2026, 11, 27, 14, 5, 9, 114_000, tzinfo=UTC)
CHECKOUT = {
    "method": "POST",
    "route": "/api/checkout",
    "path": "/api/checkout",
    "status": "503",
    "seconds": 0.2347,
    "user": "u-7",
    "calls": [
        {"name": "db", "tries": 1, "seconds": 0.001, "outcome": "ok"},
        {"name": "payments", "tries": 3, "seconds": 0.2311, "outcome": "error"},
    ],
    "event": "request",
    "request_id": "a-1",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "logger": "chaosapi.access",
    "level": "warning",
    "timestamp": "2026-11-27T14:05:09.114083Z",
}
SEARCH = {
    **CHECKOUT,
    "method": "GET",
    "route": "/api/search",
    "path": "/api/search",
    "status": "000",
    "calls": [],
    "request_id": "a-2",
    "trace_id": "b" * 32,
    "level": "info",
    "timestamp": "2026-11-27T14:06:00Z",
}
FAILED = {
    "event": "call failed",
    "logger": "shop.payments",
    "level": "warning",
    "dependency": "payments",
    "attempt": 1,
    "request_id": "a-1",
    "timestamp": "2026-11-27T14:05:08Z",
}
BROKEN = {
    "event": "Exception in ASGI application\n",
    "logger": "uvicorn.error",
    "level": "error",
    "timestamp": "2026-11-27T14:07:00Z",
    "exception": [
        {"exc_type": "KeyError", "exc_value": "'sku'", "frames": [{"filename": "a.py", "lineno": 7, "name": "price"}]}
    ],
}
LINES = [CHECKOUT, SEARCH, FAILED, BROKEN]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log whose last lines are no JSON."""
    file = tmp_path / "service.log"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in LINES) + "[1, 2]\n\nTraceback (most")
    return file


def run(*arguments: str | Path) -> str:
    """Return the output of a command that succeeds."""
    done = CliRunner().invoke(app, ["logs", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def selected(log: Path, *options: str) -> list[Any]:
    """Return the selected lines of the log by their places."""
    found = [json.loads(line) for line in run(log, "--json", *options).splitlines()]
    return [LINES.index(line) if line in LINES else line["event"] for line in found]


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ([], [0, 1, 2, 3, "[1, 2]", "Traceback (most"]),
        (["--level", "warning"], [0, 2, 3]),
        (["--level", "ERROR"], [3]),
        (["--status", "5xx"], [0]),
        (["--status", "503", "--status", "000"], [0, 1]),
        (["--route", "/api/search"], [1]),
        (["--request-id", "a-1"], [0, 2]),
        (["--trace-id", "b" * 32], [1]),
        (["--logger", "shop"], [2]),
        (["--logger", "sho"], []),
        (["--grep", "PAYMENTS"], [0, 2]),
        (["--grep", "payments", "--level", "warning", "--status", "5xx"], [0]),
        (["--since", "2026-11-27T14:05:09Z", "--until", "2026-11-27T14:06:00Z"], [0, 1]),
        (["--tail", "2"], ["[1, 2]", "Traceback (most"]),
    ],
)
def test_lines_are_selected(options: list[str], places: list[Any], log: Path) -> None:
    """By all options that are given; what is no line of JSON is an event."""
    assert selected(log, *options) == places


def test_a_duration_is_that_long_ago(tmp_path: Path) -> None:
    file = tmp_path / "log"
    times = [datetime.now(UTC) - timedelta(minutes=minutes) for minutes in (90, 30)]
    file.write_text("".join(f"{json.dumps({'event': str(at), 'timestamp': at.isoformat()})}\n" for at in times))
    assert [line.split()[1] for line in run(file, "--since", "1h").splitlines()] == [str(times[1]).split()[0]]


def test_counts_are_by_a_field_or_by_the_field_of_its_items(log: Path) -> None:
    """Lines without the field count, too."""
    assert run(log, "--count-by", "status").split() == ["4", "-", "1", "000", "1", "503"]
    assert run(log, "--count-by", "calls.outcome", "--request-id", "a-1", "--status", "503").split() == [
        *("1", "error", "1", "ok")
    ]
    counts = [json.loads(line) for line in run(log, "--count-by", "route", "--json").splitlines()]
    assert counts == [
        {"value": None, "lines": 4},
        {"value": "/api/checkout", "lines": 1},
        {"value": "/api/search", "lines": 1},
    ]


def test_lines_are_shown_for_people(log: Path) -> None:
    """The time is UTC. A traceback is below its line."""
    shown = run(log).splitlines()
    assert shown[0] == (
        "14:05:09.114 WARNING POST /api/checkout 503 0.235s user=u-7 request_id=a-1"
        " trace_id=0af7651916cd43dd8448eb211c80319c calls: db ok 0.001s, payments error×3 0.231s"
    )
    assert shown[2] == "14:05:08Z WARNING shop.payments call failed dependency=payments attempt=1 request_id=a-1"
    assert shown[3:6] == [
        "14:07:00Z ERROR uvicorn.error Exception in ASGI application",
        '  File "a.py", line 7, in price',
        "  KeyError: 'sku'",
    ]


HOSTILE = "\x1b]8;;http://evil.example\x1b\\\x1b[2J\u202e\x9b31m\r\x7f\ud800"


@pytest.mark.parametrize("options", [[], ["--json"], ["--count-by", "path"], ["--count-by", "path", "--json"]])
def test_hostile_text_is_shown_as_text(options: list[str], tmp_path: Path) -> None:
    """In any field, name, or line."""
    file = tmp_path / "log"
    line = {"method": HOSTILE, "path": HOSTILE, "status": HOSTILE, "level": HOSTILE, HOSTILE: [HOSTILE], "calls": {}}
    broken = {"exception": [{"exc_type": HOSTILE, "frames": [{"name": HOSTILE}, 3]}, HOSTILE], "timestamp": HOSTILE}
    odd = {"level": ["x"], "calls": 3, "method": 1, "status": None, "seconds": "long", "event": {"a": HOSTILE}}
    raw = HOSTILE.encode(errors="surrogatepass").replace(b"\r", b"")
    file.write_bytes(
        b"\n".join([*(json.dumps(each).encode() for each in (line, broken, odd)), raw, b"\xff{", b"[" * 99_999])
    )
    assert all(is_plain(each) for each in run(file, *options) if each != "\n")


def test_wrong_options_and_a_missing_log_are_errors(tmp_path: Path) -> None:
    for arguments, said in (
        (["--status", "5x"], "such as 5xx"),
        (["--level", "loud"], "not one of debug"),
        (["--since", "yesterday"], "neither a duration"),
        (["--follow", "--count-by", "level"], "does not count"),
        ([str(tmp_path / "none")], "No such file"),
        ([], "no lab runs here"),
    ):
        done = CliRunner().invoke(app, ["logs", *arguments])
        assert done.exit_code in {1, 2}
        assert said in " ".join(done.output.replace("│", " ").split())


def test_the_log_is_that_of_the_running_lab(log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A lab around a running service has none."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("CHAOSAPI_LAB")
    urls = dict.fromkeys(("service", "admin", "prometheus", "alertmanager", "locust"), "http://127.0.0.1:9")
    with published(LabAddresses(**urls, log=str(log))):
        assert "POST /api/checkout" in run()
    with published(LabAddresses(**urls)):
        assert "it has no log" in CliRunner().invoke(app, ["logs"]).output


def without_waits(lines: Iterator[str | None]) -> list[str]:
    """Return the lines up to the first wait."""
    return list(iter(lambda: next(lines), None))


def test_following_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("one\ntw")
    lines = log_file.follow(file)
    assert without_waits(lines) == ["one"]
    with file.open("a") as more:
        more.write("o\nthree\n")
    assert without_waits(lines) == ["two", "three"]


def test_following_goes_on_after_a_rotation(tmp_path: Path) -> None:
    """Also with lines that were written to the old file since, and after a truncation; it ends with the file."""
    file = tmp_path / "log"
    file.write_text("one\n")
    with file.open("a") as old:
        lines = log_file.follow(file)
        assert without_waits(lines) == ["one"]
        file.rename(tmp_path / "log.1")
        old.write("two\n")
    assert without_waits(lines) == ["two"]
    file.write_text("three\n")
    assert without_waits(lines) == ["three"]
    file.write_text("4\n")
    assert without_waits(lines) == ["4"]
    file.unlink()
    assert without_waits(lines) == []
    with pytest.raises(StopIteration):
        next(lines)


def test_no_line_is_lost_that_was_written_while_a_log_was_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the end of the old file and the look for a new one."""
    file = tmp_path / "log"
    file.write_text("one\n")
    lines = log_file.follow(file)
    assert without_waits(lines) == ["one"]

    def samestat(*_: object) -> bool:
        file.rename(tmp_path / "log.1")
        with (tmp_path / "log.1").open("a") as old:
            old.write("two\n")
        file.write_text("three\n")
        monkeypatch.undo()
        return False

    monkeypatch.setattr("os.path.samestat", samestat)
    assert without_waits(lines) == ["two", "three"]


def test_follow_prints_what_is_written(log: Path) -> None:
    """After the last lines that were there; it stops when the log is removed."""
    command = [sys.executable, "-m", "chaosapi", "logs", str(log), "--follow", "--tail", "1", "--level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        killer = threading.Timer(patience(60), process.kill)
        killer.start()
        try:
            assert process.stdout is not None
            assert "Exception in ASGI" in process.stdout.readline()
            assert [process.stdout.readline() for _ in range(2)]  # the traceback
            with log.open("a") as more:
                more.write(f"\n{json.dumps({'event': 'more', 'level': 'error'})}\n")
            assert process.stdout.readline() == "ERROR more\n"
            log.unlink()
            assert process.wait() == 0
        finally:
            killer.cancel()
            process.kill()
