"""The page about the first predicted alert of your own app, as a reader follows it."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosapi import durations
from tests.docs import page
from tests.lab.conftest import PORT_OPTIONS, free_ports
from tests.loadtests.processes import ENVIRONMENT
from tests.patience import patience

APP, SLO, LAB, FORECAST, FAULT = list(page.sections("first-predicted-alert.md").values())[:5]
PORTS = dict(zip(PORT_OPTIONS, free_ports(), strict=True))
USUAL = {"9090": "--prometheus-port", "8001": "--admin-port"}


def typed(text: str) -> list[str]:
    """Return a command of the page with this lab's ports."""
    for port, option in USUAL.items():
        text = text.replace(port, str(PORTS[option]))
    name, *words = shlex.split(text)
    assert name == "chaosapi"
    return [sys.executable, "-m", "chaosapi", *words]


def answer(text: str, folder: Path, *options: str) -> str:
    """Return what a command prints."""
    urls = {"CHAOSAPI_URL": "--admin-port", "CHAOSAPI_PROMETHEUS": "--prometheus-port"}
    env = {**ENVIRONMENT, "COLUMNS": "160"}
    env |= {name: f"http://127.0.0.1:{PORTS[option]}" for name, option in urls.items()}
    done = subprocess.run([*typed(text), *options], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_page_is_predicted_and_fires(tmp_path: Path, tools: dict[str, Path]) -> None:
    """With the page's files and commands, the alert fires in the forecast range."""
    (tmp_path / "main.py").write_text(APP[0].text)
    (tmp_path / "slo.yml").write_text(SLO[0].text)
    ports = [word for option, port in PORTS.items() for word in (option, str(port))]
    log = tmp_path / "lab.log"
    add, score_and_end = (block.text.splitlines() for block in FAULT)
    with (
        log.open("w") as output,
        subprocess.Popen([*typed(LAB[0].text), *ports], cwd=tmp_path, env=ENVIRONMENT, stdout=output) as lab,
    ):
        try:
            wait_until(lambda: "targets 2/2 up" in log.read_text(), log)
            forecast = json.loads(answer(FORECAST[0].text, tmp_path, "--json"))
            answer(add[0], tmp_path)
            injected = time.time()
            expected = next(each for each in forecast["alerts"] if each["severity"] == "page")
            firing = durations.parse(expected["moments"][0]["firing"])
            earliest = durations.parse(expected["chance"]["earliest"])
            latest = durations.parse(expected["chance"]["latest"] or "1m")  # null: by chance it may not fire
            assert 7 < firing < 14, forecast["assumptions"]
            wait_until(lambda: "alerts: page availability 1m/5s" in log.read_text(), log)
            seen = time.time() - injected
            assert earliest - 1 <= seen <= latest + patience(3)
            assert "availability" in answer(score_and_end[0], tmp_path)
            answer(score_and_end[1], tmp_path)
        finally:
            lab.terminate()
            lab.wait(patience(60))
    copied = next(line.rpartition(" ")[2] for line in log.read_text().splitlines() if "to copy and change" in line)
    assert copied.endswith("locustfile.py")


def wait_until(condition: Callable[[], bool], log: Path) -> None:
    """Wait for a text in the lab's output."""
    deadline = time.monotonic() + patience(90)
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
