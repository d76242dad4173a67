"""`chaosapi history` against a real service and the real promtool."""

import re
import subprocess
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from chaosapi.cli import app
from tests.conftest import Serve

pytestmark = pytest.mark.slow


def test_promtool_creates_blocks_from_the_history(serve: Serve, tools: dict[str, Path], tmp_path: Path) -> None:
    """Twelve hours of the service's series, with the labels that Prometheus will add."""
    url = serve()
    past = tmp_path / "past.om"
    done = CliRunner().invoke(app, ["history", url, "--instance", "shop:8000", "--output", str(past)])
    assert done.exit_code == 0, done.output
    text = past.read_text()
    stamps = [float(each) for each in re.findall(r"^up\{.*\} 1 (\S+)$", text, re.MULTILINE)]
    assert max(stamps) - min(stamps) == pytest.approx(12 * 3600)
    labels = 'handler="/api/checkout",method="POST",status="503",instance="shop:8000",job="chaosapi"'
    assert f"http_requests_total{{{labels}}} 0 " in text
    command: list[str | Path] = [
        tools["promtool"],
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        past,
        tmp_path / "data",
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert list((tmp_path / "data").glob("*/chunks/*"))


def test_the_history_has_the_mix_of_the_counted_requests(serve: Serve) -> None:
    """With the job of the service's SLOs, without failures."""
    url = serve()
    for path in ("/api/products", "/api/products", "/api/products", "/api/search?q=oak"):
        assert httpx2.get(f"{url}{path}").status_code == 200
    done = CliRunner().invoke(app, ["history", url, "--job", "shop", "--rate", "40"])
    assert done.exit_code == 0, done.output
    counted = {
        route: float(
            re.findall(rf'requests_total.*"{route}",method="GET",status="200".*job="shop"}} (\d+) ', done.stdout)[-2]
        )
        for route in ("/api/products", "/api/search")
    }
    assert counted["/api/products"] / counted["/api/search"] == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://127.0.0.1:1"], "no metrics from http://127.0.0.1:1: "),
        (["127.0.0.1:8000"], "no metrics from 127.0.0.1:8000: Request URL is missing"),
        (["http://127.0.0.1:1", "--profile", "weekly"], "weekly"),
    ],
)
def test_errors_are_on_one_line(arguments: list[str], said: str) -> None:
    """Nothing is written."""
    done = CliRunner().invoke(app, ["history", *arguments])
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
