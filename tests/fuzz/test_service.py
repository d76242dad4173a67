import json
import subprocess
from pathlib import Path
from typing import cast

import pytest

from fuzz.grammar import EXCEPTION
from fuzz.service import Service


@pytest.mark.parametrize(
    ("kind", "message", "findings"),
    [
        ("RuntimeError", EXCEPTION, 0),
        ("RuntimeError", "dictionary changed size during iteration", 1),
        ("ValueError", EXCEPTION, 1),
        ("ClientDisconnect", "", 0),
    ],
)
def test_an_exception_in_the_log_is_a_finding_unless_the_fuzzer_injected_it(
    tmp_path: Path, kind: str, message: str, findings: int
) -> None:
    """Injected exceptions look like the app's own, except for their message."""
    line = json.dumps({"level": "error", "exception": [{"exc_type": kind, "exc_value": message}]})
    log = tmp_path / "log"
    log.write_text(line + "\n")
    service = Service(cast("subprocess.Popen[bytes]", None), log, 0, 0)
    assert service.unexpected_lines() == [line] * findings
