"""The groups of commands."""

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from chaosapi.cli import app

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["forcast"], "'forecast'"),
        (["fault", "inject"], "'add'"),
        (["fault", "ls"], "'list'"),
        (["fault", "stop"], "'end'"),
        (["slo", "validate"], "'lint'"),
        (["slo", "rule"], "'rules'"),
    ],
)
def test_an_unknown_command_gets_a_suggestion(words: list[str], meant: str) -> None:
    """By its spelling, or by what other tools call it; once."""
    done = RUNNER.invoke(app, words)
    assert done.exit_code == 2
    text = " ".join(done.output.replace("│", " ").split())
    assert f"No such command '{words[-1]}'. Did you mean {meant}?" in text
    assert text.count("Did you mean") == 1


def test_a_command_like_no_other_gets_none() -> None:
    """The error stands alone."""
    assert "Did you mean" not in RUNNER.invoke(app, ["xyzzy"]).output


def test_the_version() -> None:
    """The package's."""
    assert RUNNER.invoke(app, ["--version"]).output == f"chaosapi {version('chaosapi')}\n"
