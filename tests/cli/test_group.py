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
    """By spelling, or by the name in other tools; once."""
    done = RUNNER.invoke(app, words)
    assert done.exit_code == 2
    text = " ".join(done.output.replace("│", " ").split())
    assert f"No such command '{words[-1]}'. Did you mean {meant}?" in text
    assert text.count("Did you mean") == 1


def test_a_command_without_similar_ones_gets_no_suggestion() -> None:
    """The output is the error alone."""
    assert "Did you mean" not in RUNNER.invoke(app, ["xyzzy"]).output


def test_the_version() -> None:
    """It is the package's version."""
    assert RUNNER.invoke(app, ["--version"]).output == f"chaosapi {version('chaosapi')}\n"
