"""Commands are imported when they run, and name a missing extra."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chaosapi.cli import ENTRIES, app

ROOT = Path(__file__).parents[2]
OF = {
    "serve": ("uvicorn", "structlog", "fastapi_offline"),
    "forecast": ("numpy",),
    "lab": ("numpy", "uvicorn", "locust"),
    "console": ("nicegui", "uvicorn"),
    "slo": ("promql_parser", "yaml"),
    "cli": ("yaml", "httpx2"),
}
"""Modules that are missing without each extra."""


RUN = "import runpy; runpy.run_module('chaosapi', run_name='__main__')"


def run(*words: str, without: tuple[str, ...] = (), before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line without these modules."""
    code = f"import atexit, sys\nfor name in {without}: sys.modules[name] = None\n{before}\n{RUN}"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("command", "extra"), [(name, entry.extra) for name, entry in ENTRIES.items()])
def test_a_command_without_its_extra_names_the_extra(command: str, extra: str) -> None:
    """With any other arguments; exit code 2."""
    done = run(command, *(["--host", "h"] if command != "console" else []), without=OF[extra])
    assert done.returncode == 2
    assert f"{command} needs the {extra} extra: pip install 'chaosapi[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_subcommand_may_need_another_extra_than_its_group() -> None:
    """`slo backtest` needs numpy, the other commands of its group do not."""
    assert "slo backtest needs the forecast extra" in run("slo", "backtest", without=OF["forecast"]).stderr
    assert run("slo", "lint", "--help", without=OF["forecast"]).returncode == 0


def test_the_command_line_needs_an_extra_too() -> None:
    """Its error is printed without Rich."""
    done = run("serve", without=("typer",))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "chaosapi: the command line needs the cli extra: pip install 'chaosapi[cli]'\n"


def test_help_names_what_is_missing() -> None:
    """All commands are listed; unavailable ones with their extra."""
    found = " ".join(run("--help", without=("numpy",)).stdout.replace("│", " ").split())
    assert all(f" {name} " in found for name in ENTRIES)
    assert "needs the lab extra: pip install 'chaosapi[lab]'" in found
    assert "Run the service." in found


def test_a_command_imports_no_other_command() -> None:
    """`chaosapi fault` imports neither numpy nor uvicorn."""
    modules = run("fault", "--help", before="atexit.register(lambda: print(*sys.modules))").stdout.split()
    assert not {"numpy", "promql_parser", "uvicorn", "structlog", "chaosapi.wiring", "chaosapi.cli.lab"} & {*modules}
    assert "chaosapi.cli.fault" in modules


def test_every_named_extra_exists() -> None:
    """In pyproject.toml, and `all` includes it."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {entry.extra for entry in ENTRIES.values()} <= extras.keys()
    assert extras["all"] == ["chaosapi[charts,console,lab,redis,tracing]"]
    contained = " ".join(line for lines in extras.values() for line in lines if line.startswith("chaosapi["))
    assert all(name in contained for name in extras if name != "all")


@pytest.mark.parametrize(
    ("command", "default"),
    [("fault add", "15m"), ("serve", "CHAOSAPI_PORT, or 8000"), ("slo lint", "the shop's alerts/slo.yaml")],
)
def test_help_shows_the_defaults_of_options(command: str, default: str) -> None:
    """In `help=`, "[default: 15m]" would be Rich markup, which is not printed."""
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert f"default: ({default})" in result.output
