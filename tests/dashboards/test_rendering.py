"""What a person sees on the dashboards, drawn by Grafana's own components over a live lab in six states.

Pictures of all are kept in the folder that `CHAOSAPI_PICTURES` names.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaosapi.lab import stack
from chaosapi.lab import tools as lab_tools
from chaosapi.lab.ports import Ports, url
from chaosapi.lab.stack import Lab
from chaosapi.terminal import Terminal
from tests.dashboards import drawing
from tests.dashboards.boards import BOARDS
from tests.dashboards.drawing import Painter, Picture
from tests.lab.conftest import free_ports
from tests.patience import patience

pytestmark = [pytest.mark.slow, pytest.mark.timeout(patience(900))]

FAILED = 'sum(rate(http_requests_total{job="chaosapi", status=~"5.."}[20s]))'
ALL = 'sum(rate(http_requests_total{job="chaosapi"}[20s]))'
A_STEP_AGO = "[20s] offset 6s"
"""A curve ends at a multiple of five seconds, up to a step before now."""
MEAN = (
    'sum(rate(http_request_duration_seconds_sum{job="chaosapi"}[20s]))'
    ' / sum(rate(http_request_duration_seconds_count{job="chaosapi"}[20s]))'
)
DURATION = "chaosapi_dependency_request_duration_seconds"
CALLS = (
    f'sum(rate({DURATION}_sum{{job="chaosapi", outcome="ok", dependency%s"db"}}[20s]))'
    f' / sum(rate({DURATION}_count{{job="chaosapi", outcome="ok", dependency%s"db"}}[20s]))'
)
SLOW = CALLS % ("=", "=")
FAST = CALLS % ("!=", "!=")
FIRES = 'count(ALERTS{alertstate="firing", sloth_severity="page"%s})'
SIX = ["RPS", "Success rate", "5xx error rate", "Average latency", "p95 latency", "p99 latency"]
Pictures = dict[tuple[str, str], Picture]
"""What is seen, by state and dashboard."""


@dataclass(frozen=True)
class State:
    """A state of the lab: how to bring it about, and the queries that all have a value while it holds."""

    bring_about: Callable[[Lab], None]
    queries: tuple[str, ...]
    fails: tuple[str, ...] = ()
    """Queries that have no value while it holds."""
    shown: tuple[str, ...] = tuple(BOARDS)
    """The dashboards that are drawn."""

    def holds(self, lab: Lab) -> bool:
        """Return whether it holds now."""
        value = lab.prometheus.value
        return all(value(query) is not None for query in self.queries) and all(
            value(query) is None for query in self.fails
        )


@pytest.fixture(scope="module")
def pictures(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Draw all dashboards in each state of one lab, one state after the other."""
    folder = tmp_path_factory.mktemp("rendering")
    kept = Path(os.environ.get("CHAOSAPI_PICTURES", folder))
    script = drawing.components(lab_tools.tools_folder() / "rendering")
    options = stack.Options(folder / "lab", ports=Ports(*free_ports()), traffic=True)
    seen: Pictures = {}
    with drawing.painter(script) as painter, stack.running(options, Terminal(quiet=True).print) as lab:
        for name, state in STATES.items():
            state.bring_about(lab)
            seen |= {(name, board): picture for board, picture in _drawn(painter, lab, name, kept).items()}
        lab.parts.find("service").signal(signal.SIGCONT)
    return seen


def _drawn(painter: Painter, lab: Lab, name: str, folder: Path) -> dict[str, Picture]:
    """Draw all dashboards while the state holds: on a busy machine a scrape may fail or an alert fire in between."""
    state = STATES[name]
    for _ in range(5):
        lab.parts.wait_until(lambda: state.holds(lab), name, timeout=patience(120), every=0.5)
        pictures = {
            board: painter.draw(board, url(lab.ports.prometheus), folder / f"{board}-{name}.png")
            for board in state.shown
        }
        if state.holds(lab):
            return pictures
    pytest.fail(f"the lab was never in the state {name!r} for long enough to draw it: the machine is too busy")


def _fail_a_fifth(lab: Lab) -> None:
    lab.admin.create_fault({"name": "e", "effect": {"type": "error", "status": 503}, "rate": 0.2})


def _slow_down(lab: Lab) -> None:
    lab.admin.end_fault("e")
    slow = {"type": "latency", "distribution": {"type": "constant", "value": "400ms"}}
    lab.admin.create_fault({"name": "l", "effect": slow})


def _slow_down_a_dependency(lab: Lab) -> None:
    lab.admin.end_fault("l")
    slow = {"type": "latency", "distribution": {"type": "constant", "value": "400ms"}}
    lab.admin.create_fault({"name": "d", "effect": slow, "target": {"points": ["db"]}})


def _stop_traffic(lab: Lab) -> None:
    lab.admin.end_fault("d")
    lab.parts.stop(lab.parts.find("locust"))


def _freeze(lab: Lab) -> None:
    lab.parts.find("service").signal(signal.SIGSTOP)


def _zero(rate: str) -> tuple[str, str]:
    """Return the queries of a rate that is zero, and has been for a step."""
    return f"{rate} == 0", f"{rate.replace('[20s]', A_STEP_AGO)} == 0"


UP = 'up{job="chaosapi"} == 1'
STATES = {
    "calm": State(lambda _lab: None, (UP, f"{ALL} > 17"), ('ALERTS{alertstate="firing"}',)),
    "errors": State(_fail_a_fifth, (UP, f"{FAILED} / {ALL} > 0.12", FIRES % ', slo="availability"')),
    "latency": State(_slow_down, (UP, f"{MEAN} > 0.39", *_zero(FAILED))),
    "slow-dependency": State(
        _slow_down_a_dependency, (UP, f"{FAST} < 0.2", f"{SLOW} > 0.39"), shown=("golden-signals",)
    ),
    "no-traffic": State(_stop_traffic, (UP, *_zero(ALL))),
    "down": State(_freeze, (FIRES % ', alertname="TargetAbsent"', 'up{job="chaosapi"} == 0'), (ALL,)),
}


def words(picture: Picture, panel: str) -> list[tuple[str, str]]:
    """Return the texts of a number's panel, each with its colour."""
    return [(each["text"], each["color"]) for each in picture.numbers[panel]]


def colors(picture: Picture, *panels: str) -> set[str]:
    """Return the colours of numbers, of all unless panels are named."""
    return {color for panel in panels or picture.numbers for _, color in words(picture, panel)}


@pytest.mark.parametrize("name", BOARDS)
def test_calm_is_green_and_says_so(pictures: Pictures, name: str) -> None:
    """The service is up, no alert fires, and nothing is red."""
    calm = pictures["calm", name]
    assert words(calm, "Service") == [("Up", "green")]
    assert words(calm, "Alerts that fire") == [("No alert fires", "green")]
    assert colors(calm) <= {"green", "text"}


def test_calm_shows_six_numbers_and_all_routes(pictures: Pictures) -> None:
    """Each number has a value, and each curve a legend of the routes with traffic; RPS shows one more, at zero."""
    calm = pictures["calm", "golden-signals"]
    assert all("No traffic" not in words(calm, panel)[0][0] for panel in SIX)
    routes = {panel: len(calm.legends[f"{panel} by route"]) for panel in SIX}
    assert routes == {panel: 7 if panel in {"RPS", "5xx error rate"} else 6 for panel in SIX}
    assert words(pictures["calm", "slo"], "Gone in") == [("Not burning", "green")]


def test_errors_are_red_where_they_are(pictures: Pictures) -> None:
    """Success and 5xx are red, the latencies are not; the page stands on top, on every dashboard."""
    golden = pictures["errors", "golden-signals"]
    assert colors(golden, "Success rate", "5xx error rate") == {"red"}
    assert colors(golden, "Average latency") == {"green"}
    for name in BOARDS:
        assert ("ErrorBudgetBurn availability page", "red") in words(pictures["errors", name], "Alerts that fire")
    assert colors(pictures["errors", "slo"], "Burn rate", "Gone in", "Window pairs firing") == {"red"}


def test_the_sickest_route_stands_first(pictures: Pictures) -> None:
    """In the legends: the lowest success rate, the highest error rate."""
    golden = pictures["errors", "golden-signals"]
    success = [_percent(row[-1]) for row in golden.legends["Success rate by route"]]
    failed = [_percent(row[-1]) for row in golden.legends["5xx error rate by route"]]
    assert success == sorted(success)
    assert failed == sorted(failed, reverse=True)
    assert success[0] < 100


def _percent(text: str) -> float:
    return float(text.removesuffix("%"))


def test_a_slow_service_is_red_in_every_latency(pictures: Pictures) -> None:
    """Average, p95 and p99 are above the objective; success is not at fault."""
    golden = pictures["latency", "golden-signals"]
    assert colors(golden, "Average latency", "p95 latency", "p99 latency") == {"red"}
    assert colors(golden, "Success rate", "5xx error rate") == {"green"}


def test_the_slow_dependency_stands_first(pictures: Pictures) -> None:
    """Of the durations of the calls, its is the longest."""
    golden = pictures["slow-dependency", "golden-signals"]
    names = [row[0] for row in golden.legends["p95 of calls that succeeded"]]
    assert names[0] == "db"
    assert len(names) > 1
    assert colors(golden, "p95 latency") == {"red"}


@pytest.mark.parametrize("name", BOARDS)
def test_no_number_outlives_its_data(pictures: Pictures, name: str) -> None:
    """In no state is a number older than two scrapes."""
    seen = {state: picture.outlived for (state, board), picture in pictures.items() if board == name}
    assert seen == {state: [] for state in seen}
    assert "down" in seen


def test_no_traffic_is_no_health(pictures: Pictures) -> None:
    """The service is up, but not green; the numbers say that there is no traffic, in no colour."""
    golden = pictures["no-traffic", "golden-signals"]
    assert words(golden, "Service") == [("Up, no traffic", "orange")]
    assert words(golden, "RPS") == [("0 req/s", "text")]
    assert [words(golden, panel) for panel in SIX[1:]] == [[("No traffic", "text")]] * 5
    assert words(pictures["no-traffic", "slo"], "Burn rate") == [("No traffic", "text")]
    assert words(pictures["no-traffic", "traffic"], "Scenario") == [("No load test", "text")]


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_is_green_while_the_service_is_down(pictures: Pictures, name: str) -> None:
    """It says Down in red, and names the page."""
    down = pictures["down", name]
    assert words(down, "Service") == [("Down", "red")]
    assert ("TargetAbsent page", "red") in words(down, "Alerts that fire")
    assert "green" not in colors(down)
