"""The form of the log, in a process of its own: it is set up once for all of it."""

import json
import os
import subprocess
import sys
from typing import Any

PROGRAM = """
import logging, structlog
from chaosapi import logs
from chaosapi.settings import Settings

logs.configure(Settings())
log = structlog.stdlib.get_logger("chaosapi.mine")
structlog.contextvars.bind_contextvars(request_id="abc-1")
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
    """Run the program with these settings; return what it writes."""
    settings = {f"CHAOSAPI_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True).stdout


def lines(**settings: str) -> list[dict[str, Any]]:
    """Read what it writes as JSON."""
    return [json.loads(line) for line in written(log_format="json", **settings).splitlines()]


def test_all_lines_have_the_same_form() -> None:
    """In the order in which they were logged, whoever did, with the request that was being served."""
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
    """They may hold what no log should."""
    (trace,) = lines(log_level="error")[0]["exception"]
    assert trace["exc_type"] == "ZeroDivisionError"
    assert trace["frames"]
    assert "hidden" not in str(trace)


def test_lines_below_the_level_are_left_out() -> None:
    """Whoever logged them."""
    assert [line["event"] for line in lines(log_level="warning")] == ["beware", "of March", "broken"]


def test_a_person_reads_text() -> None:
    """Not JSON; still one line an event."""
    text = written(log_format="console", log_level="warning")
    assert "beware" in text.splitlines()[0]
    assert not text.startswith("{")
