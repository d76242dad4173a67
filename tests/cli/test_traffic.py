"""`chaosapi traffic`: Locust's scenarios without a checkout."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chaosapi import assets
from chaosapi.cli import app, traffic
from chaosapi.lab_addresses import LabAddresses
from tests.loadtests.processes import ENVIRONMENT, free_port, wait_for
from tests.loadtests.pure import module
from tests.patience import patience

LOCUST = [sys.executable, "-m", "locust", "-f", str(assets.path("loadtests"))]
LAB = LabAddresses(
    service="http://127.0.0.1:9",
    admin="http://127.0.0.1:9",
    prometheus="http://127.0.0.1:9",
    alertmanager="http://127.0.0.1:9",
    locust="http://127.0.0.1:9",
)


def invoke(*arguments: str) -> Result:
    """Run the command in a terminal of eighty columns."""
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["traffic", *arguments])


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ((), "--reports none"),
        (("spike", "--rate", "50"), "--scenario spike --headless --only-summary --reports none --rate 50"),
        (("--rate", "50", "spike"), "--scenario spike --headless --only-summary --reports none --rate 50"),
        (("--scenario", "spike"), "--scenario spike --headless --only-summary --reports none"),
        (("spike", "--autostart", "--reports", "x"), "--scenario spike --autostart --reports x"),
        (("--worker",), "--reports none --worker"),
    ],
)
def test_a_scenario_runs_without_a_page_unless_options_want_one(words: tuple[str, ...], command: str) -> None:
    """Without a scenario it is chosen on the page; no report lands in the installed package."""
    assert traffic.locust_command(words) == [*LOCUST, *command.split()]


def test_the_running_lab_is_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Prometheus scrapes one port, which a second Locust leaves to the first."""
    port = free_port()
    lab = LAB.model_copy(update={"locust_metrics": f"127.0.0.1:{port}"})
    monkeypatch.setattr(traffic, "running_lab", lambda: lab)
    assert traffic.locust_command([])[-4:] == ["--host", lab.service, "--metrics-port", str(port)]
    with socket.create_server(("127.0.0.1", port)):
        assert "--metrics-port" not in traffic.locust_command([])
    assert lab.service not in traffic.locust_command(["-H", "http://127.0.0.1:8000"])


def test_an_unknown_scenario_gets_a_suggestion() -> None:
    """Also a command."""
    assert "did you mean 'spike'?" in invoke("run", "spyke").output
    assert "there are steady, spike" in invoke("run", "nothing").output
    assert "Did you mean 'copy'?" in invoke("cp").output


def test_all_scenarios_are_listed() -> None:
    """With their rates."""
    table = invoke("list").output
    assert all(name in table for name in module("_scenarios").SCENARIOS)
    assert "20 to 100" in table


def test_the_files_are_copied_to_a_new_folder(tmp_path: Path) -> None:
    """Never over something else."""
    copied = tmp_path / "mine"
    assert f"locust -f {copied}" in "".join(invoke("copy", str(copied)).output.splitlines())
    assert {path.name for path in copied.iterdir()} == {path.name for path in assets.path("loadtests").glob("*.py")}
    again = invoke("copy", str(copied))
    assert again.exit_code == 2
    assert "not an empty folder" in " ".join(again.output.replace("│", " ").split())


@pytest.mark.slow
def test_an_interrupt_while_locust_starts_is_no_traceback(tmp_path: Path) -> None:
    """It waits until Locust has imported its files; then the run ends with a verdict."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "chaosapi", "traffic", "run", "steady", "--expect", "errors<1%"]
    with log.open("wb") as output:
        run = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_for(lambda: b"locust" in Path(f"/proc/{run.pid}/cmdline").read_bytes(), "Locust")
        run.send_signal(signal.SIGINT)
        assert run.wait(patience(30)) != 0
    finally:
        run.kill()
    assert "Traceback" not in log.read_text()
    assert "no condition is met" in log.read_text()
