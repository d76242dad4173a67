import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaosapi import assets
from chaosapi.slo import files

ALERTS = assets.path("alerts")
MADE = files.generated(ALERTS)


@pytest.mark.parametrize("path", MADE, ids=lambda path: "-".join(path.relative_to(ALERTS).parts))
def test_checked_in_files_are_up_to_date(path: Path) -> None:
    """They equal what `chaosapi slo generate` writes from slo.yaml."""
    assert path.read_text() == MADE[path]


def test_there_are_no_other_generated_files() -> None:
    """A removed profile leaves no rules."""
    places = ("rules/*", "tests/*", "prometheusrules/*/rules*")
    assert {path for place in places for path in ALERTS.glob(place)} == set(MADE)


def test_promtool_accepts_the_rules(promtool: Path) -> None:
    """They are valid, without duplicates."""
    rules = sorted((ALERTS / "rules").iterdir())
    result = subprocess.run([promtool, "check", "rules", *rules], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "duplicate" not in result.stdout + result.stderr


@pytest.mark.slow
def test_alerts_fire_and_reset_when_predicted(promtool: Path) -> None:
    """Every pair of every SLO: silent, firing and resolved at its times; also with little or no traffic."""

    def judge(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(judge, sorted((ALERTS / "tests").iterdir())))
    assert not [result.args[-1].name + result.stdout + result.stderr for result in results if result.returncode]
