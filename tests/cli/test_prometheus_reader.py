"""Commands that read from Prometheus, with a real one that has twenty minutes of a shop's counters."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from typer.testing import CliRunner, Result

from chaosapi import assets, errors
from chaosapi.cli import app
from chaosapi.cli import prometheus_reader as client
from chaosapi.cli.prometheus_reader import PrometheusReader
from chaosapi.slo import spec, windows
from chaosapi.slo.windows import WindowPair, format_window
from tests.cli.recorded import recorded_prometheus
from tests.conftest import Serve

pytestmark = pytest.mark.slow

LENGTH = 1200
LABELS = 'job="chaosapi",method="GET",handler="/api/products"'
LAB = windows.load("lab")
SLO = spec.load(assets.path("alerts") / "slo.yaml").slos[0]


class Recorded(NamedTuple):
    """A running Prometheus, and the first and last time of its counters (Unix seconds)."""

    url: str
    start: int
    end: int


def errors_by(second: float) -> float:
    """Return the failures of one replica: 30 % of 50/s for 40 s, then all for 5 s."""
    return 15 * min(max(0.0, second - 600), 40) + 50 * min(max(0.0, second - 900), 5)


def samples(start: int) -> Iterator[str]:
    """Write two replicas with different scrape offsets: one restarts during the errors, one has a gap in its data."""
    yield "# TYPE http_requests counter\n"
    for replica, offset in ((1, 0.0), (2, 0.4)):
        for status in ("200", "503"):
            for second in range(LENGTH):
                age = second + offset
                bad = errors_by(age)
                value = bad if status == "503" else 50 * age - bad
                if replica == 1 and age >= 615:
                    value -= errors_by(615) if status == "503" else 50 * 615 - errors_by(615)
                if not (replica == 2 and 620 < second < 632):
                    name = f'http_requests_total{{instance="{replica}",{LABELS},status="{status}"}}'
                    yield f"{name} {value:.3f} {start + age:.3f}\n"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, tools: dict[str, Path]) -> Iterator[Recorded]:
    """Yield a Prometheus that has the samples, and evaluates no rules."""
    start = int(time.time()) - LENGTH - 60
    with recorded_prometheus(samples(start), tools, tmp_path_factory.mktemp("prometheus")) as url:
        yield Recorded(url, start, start + LENGTH)


def run(*arguments: str) -> Result:
    """Run a command in a terminal of eighty columns."""
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})


def firing(recorded: Recorded, pair: WindowPair) -> list[tuple[float, float]]:
    """Return when the alert's expression held in Prometheus: start and end, in seconds since the start."""
    conditions = [
        f"(({SLO.sli.error_ratio(format_window(window))}) / {SLO.budget:.12g} > {pair.factor:g})"
        for window in (pair.short, pair.long)
    ]
    span = {"start": recorded.start + 300, "end": recorded.end, "step": 1}
    answer = httpx2.get(f"{recorded.url}/api/v1/query_range", params={"query": " and ".join(conditions), **span})
    times = sorted(float(at) - recorded.start for each in answer.json()["data"]["result"] for at, _ in each["values"])
    starts = [one for before, one in pairwise([-9.0, *times]) if one > before + 1]
    ends = [one + 1 for one, after in pairwise([*times, 1e9]) if after > one + 1]
    return list(zip(starts, ends, strict=True))


def test_a_back_test_equals_prometheus(recorded: Recorded) -> None:
    """The same evaluations as PromQL, for every pair, across a restart, a gap and two replicas."""
    begin, end = (f"{datetime.fromtimestamp(each, UTC):%FT%TZ}" for each in (recorded.start + 300, recorded.end))
    done = run(
        "slo", "backtest", "--prometheus", recorded.url, "--from", begin, "--to", end, "--profile", "lab", "--json"
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    tested = {each["long_window"]: each for each in found["alerts"] if each["slo"] == "availability"}
    for pair in LAB.pairs:
        spans = [
            tuple(_since(each["predicted"][when], recorded) for when in ("firing", "resolved"))
            for each in tested[format_window(pair.long)]["episodes"]
        ]
        assert spans == firing(recorded, pair), pair
    assert len(tested["1m"]["episodes"]) == 2
    assert not any(each["compared"] for each in found["alerts"])
    assert [reason.partition(":")[0] for reason in found["missing"]] == ["latency", "checkout-availability"]


def _since(moment: str | None, recorded: Recorded) -> float:
    """Return seconds since the start; an episode that lasts until the end ends after it."""
    return LENGTH + 1 if moment is None else datetime.fromisoformat(moment).timestamp() - recorded.start


def test_a_back_test_fits_a_terminal(recorded: Recorded) -> None:
    """Alerts that would have fired, alerts that would not, and alerts that could not be compared or tested."""
    shown = run("slo", "backtest", "--prometheus", recorded.url, "--from", "-25m", "--profile", "lab").stdout
    assert "page 1m/5s" in shown
    assert "not compared: there are no alerts for the window pairs of availability" in shown
    assert "not tested: latency" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "yesterday"), "is not a time such as"),
        (("--from", "-1h", "--to", "-2h"), "does not come after"),
        (("--prometheus", "http://127.0.0.1:1"), "no answer from http://127.0.0.1:1"),
        (("--from", "-40d", "--profile", "lab"), "choose a shorter time"),
    ],
)
def test_invalid_back_tests_are_refused(recorded: Recorded, arguments: tuple[str, ...], says: str) -> None:
    """With one sentence, without a traceback."""
    done = run("slo", "backtest", *(() if "--prometheus" in arguments else ("--prometheus", recorded.url)), *arguments)
    assert done.exit_code != 0
    assert says in done.output


def test_long_spans_are_read_in_parts(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample once, in order, from several responses."""
    selector = 'http_requests_total{status="503"}'
    source = PrometheusReader(recorded.url)
    whole = source.series(selector, recorded.start - 1, recorded.end)
    monkeypatch.setattr(client, "_FIRST_SPAN_S", 7.0)
    monkeypatch.setattr(client, "_SAMPLES_WANTED", 500)
    parts = source.series(selector, recorded.start - 1, recorded.end)
    assert sorted(each.times.size for each in whole) == [LENGTH - 11, LENGTH]
    for one, other in zip(whole, parts, strict=True):
        assert one.labels == other.labels
        assert one.times.tolist() == other.times.tolist()
        assert one.values.tolist() == other.values.tolist()


def test_errors_of_prometheus_are_shown(recorded: Recorded, serve: Serve) -> None:
    """A refused query, and a server that is not Prometheus."""
    with pytest.raises(errors.Invalid, match="parse error"):
        PrometheusReader(recorded.url).vector("sum(")
    with pytest.raises(errors.Invalid, match=r"refuses|is it a Prometheus"):
        PrometheusReader(serve()).vector("up")


def test_traffic_is_measured(recorded: Recorded) -> None:
    """A hundred requests per second on one route of two replicas; options take precedence."""
    window = ("--prometheus", recorded.url, "--traffic-window", "4m", "--profile", "lab", "--json")
    fault = ("forecast", "error", "--rate", "0.2", "--duration", "1m")
    filled = 240 - (time.time() - recorded.end)  # nothing is recorded of the last of the four minutes
    answer = json.loads(run(*fault, *window).stdout)
    [availability] = answer["budgets"]
    assert availability["bad"] == pytest.approx(0.2 * 60 * 100 * filled / 240, rel=0.02)
    assert [each["slo"] for each in answer["refused"]] == ["latency", "checkout-availability"]
    assert answer["assumptions"]["traffic"].startswith(f"measured by the Prometheus at {recorded.url}")
    assert json.loads(run(*fault, *window, "--rps", "7").stdout)["budgets"][0]["bad"] == pytest.approx(0.2 * 60 * 7)
    nothing = run("forecast", "error", "--prometheus", recorded.url, "--traffic-window", "5s")
    assert "no request was served" in nothing.output


def test_a_score_with_the_webhooks_deliveries(serve: Serve, recorded: Recorded) -> None:
    """The latest started fault is compared with the deliveries; Prometheus has no evaluated rules here."""
    url = serve()
    none = run("score", "--url", url, "--prometheus", recorded.url)
    assert none.exit_code == 1
    assert "no fault at all has begun" in none.output
    httpx2.post(f"{url}/admin/faults", json={"name": "f", "effect": {"type": "error"}, "rate": 0.2}).raise_for_status()
    shown = run("score", "--url", url, "--prometheus", "http://127.0.0.1:1", "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert found["fault"] == "f"
    assert {each["verdict"] for each in found["alerts"]} <= {"to come"}
    assert "no answer from" in found["missing"][0]
    ruleless = run("score", "--url", url, "--prometheus", recorded.url, "--profile", "production", "--json")
    assert ruleless.exit_code == 0, ruleless.output
    assert json.loads(ruleless.stdout)["fault"] == "f"
    table = run("score", "--url", url, "--prometheus", "http://127.0.0.1:1").stdout
    assert "to come" in table
    assert max(map(len, table.splitlines())) <= 80
