import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from chaosapi import assets
from chaosapi.cli.slo import app
from chaosapi.slo import files

RUN = CliRunner()
ALERTS = assets.path("alerts")


@pytest.mark.parametrize("profile", ["lab", "production"])
def test_rules_are_printed_or_written(profile: str, tmp_path: Path) -> None:
    """Without --out they are printed, to be piped on; with it they are in the file, whose folder is made."""
    out = tmp_path / "new" / "rules.yml"
    printed = RUN.invoke(app, ["rules", "--profile", profile])
    written = RUN.invoke(app, ["rules", "--profile", profile, "--out", str(out)])
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert printed.stdout == out.read_text() == (ALERTS / "rules" / f"{profile}.yml").read_text()


def test_tests_are_those_checked_in() -> None:
    """The command in a file's first line makes that file."""
    result = RUN.invoke(app, ["tests", "--profile", "lab", "--severity", "ticket"])
    assert result.stdout == (ALERTS / "tests" / "lab-ticket.yml").read_text()


def test_generate_writes_every_file(tmp_path: Path) -> None:
    """From slo.yaml and traffic.yaml alone come all rules and tests."""
    for name in ("slo.yaml", "traffic.yaml"):
        shutil.copy(ALERTS / name, tmp_path)
    assert RUN.invoke(app, ["generate", str(tmp_path)]).exit_code == 0
    assert {path: path.read_text() for path in tmp_path.rglob("*.yml")} == files.generated(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["rules", "--profile", "week"], "week is neither one of lab, production nor a file"),
        (["rules", "--spec", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["rules", "--profile", "lab", "--scrape-interval", "15s"], "the window 5s needs 4 scrapes"),
        (["rules", "--scrape-interval", "fast"], "a duration is text with units"),
        (["tests", "--severity", "sms"], "'page', 'ticket'"),
    ],
)
def test_a_refusal_says_what_would_be_right(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    """A mistake ends with a message and an exit code, and no file is written."""
    out = tmp_path / "out.yml"
    result = RUN.invoke(app, [*arguments, "--out", str(out)])
    assert result.exit_code in {1, 2}
    assert complaint in " ".join(result.stderr.replace("│", " ").split())
    assert not out.exists()


def test_what_is_printed_is_yaml() -> None:
    """Nothing but the rules is on stdout."""
    assert set(yaml.safe_load(RUN.invoke(app, ["rules", "--scrape-interval", "15s"]).stdout)) == {"groups"}
