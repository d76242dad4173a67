import subprocess
from pathlib import Path

import pytest

from chaosapi import assets

ALERTS = assets.path("alerts")


@pytest.mark.parametrize("path", sorted((ALERTS / "rules").iterdir()), ids=lambda path: path.name)
def test_promtool_accepts_the_rules(path: Path, tools: dict[str, Path]) -> None:
    """They parse, with no duplicate among them."""
    result = subprocess.run([tools["promtool"], "check", "rules", path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "duplicate" not in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ALERTS / "tests").iterdir()), ids=lambda path: path.name)
def test_alerts_fire_and_reset_when_predicted(path: Path, tools: dict[str, Path]) -> None:
    """Every pair of every SLO: silent before its time, firing after it, resetting; silent without traffic."""
    result = subprocess.run([tools["promtool"], "test", "rules", path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
