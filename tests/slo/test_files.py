from pathlib import Path

import pytest

from chaosapi import assets
from chaosapi.slo import files

ALERTS = assets.path("alerts")


@pytest.mark.parametrize("path", files.generated(ALERTS), ids=lambda path: path.name)
def test_checked_in_files_are_not_stale(path: Path) -> None:
    """What is checked in is what slo.yaml makes today; `chaosapi slo generate` writes it anew."""
    assert path.read_text() == files.generated(ALERTS)[path]


def test_nothing_else_lies_beside_the_generated_files() -> None:
    """A profile that went away leaves no rules behind."""
    made = set(files.generated(ALERTS))
    assert {path for folder in ("rules", "tests") for path in (ALERTS / folder).iterdir()} == made
