"""The tutorial's own commands in a real lab, with its expectations checked in Prometheus."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from chaosapi.app import create_app
from chaosapi.lab import history, prometheus
from chaosapi.settings import Settings
from chaosapi.slo import windows
from tests.docs import page
from tests.docs.page import Block
from tests.docs.reader import Reader
from tests.lab.conftest import PORT_OPTIONS, free_ports

pytestmark = pytest.mark.slow

SECTIONS = page.sections("tutorial.md")
START, *STEPS, CLEAN_UP = SECTIONS
BURN = STEPS[-1]
BURNT = 810.0
"""Seconds of the last step's slow burn in the seeded history: nearly all of 864, so that the test need not wait."""
LOST = 0.05
"""The share of requests that are slow in it: that of the tutorial's fault."""
END = Block("", "")


@dataclass(frozen=True)
class Burnt(history.HistorySeries):
    """A counter of fast requests, of which fewer came from some time on (seconds after the start)."""

    since: float = 0.0

    def value_at(self, seconds: float) -> str:
        """Return its value some seconds after the start of history."""
        missing = LOST * self.slope * max(0.0, seconds - self.since)
        return history.HistorySeries(self.name, self.slope, self.start - missing).value_at(seconds)


def seed(data: Path, target: str, promtool: Path) -> None:
    """Seed a history of a healthy shop with a slow burn in the last minutes."""
    with TestClient(create_app(Settings()), base_url="http://localhost:8000") as client:
        exposition = client.get("/metrics").text
    times = history.sample_times(windows.load("lab"), time.time())
    past = {
        header: [
            Burnt(each.name, each.slope, each.start, times[-1] - times[0] - BURNT) if _fast(each.name) else each
            for each in series
        ]
        for header, series in history.healthy_series(
            exposition, history.shop_rates(20), prometheus.ScrapeTarget(target).labels, times[-1] - times[0]
        ).items()
    }
    history.import_history(history.openmetrics(past, times), promtool, data)


def _fast(name: str) -> bool:
    return any(f'le="{bound}"' in name for bound in ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25"))


@pytest.fixture(scope="module")
def reader(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Yield a reader after the tutorial's start, with a lab and its traffic running."""
    folder = tmp_path_factory.mktemp("lab")
    ports = dict(zip(PORT_OPTIONS, free_ports(), strict=True))
    seed(folder / "prometheus", f"127.0.0.1:{ports['--port']}", tools["promtool"])
    someone = Reader(ports)
    lab, traffic = SECTIONS[START]
    assert lab.text == "make lab\n"
    with someone.lab(folder), someone.locust(traffic):
        yield someone


# The slow burn comes first: it wants a lab that has seen no other fault, as the tutorial says.
@pytest.mark.parametrize("step", [BURN, *STEPS[:-1], CLEAN_UP])
def test_step(step: str, reader: Reader) -> None:
    """Each query has the documented value before and with the fault, and each command its documented output."""
    with ExitStack() as terminals:
        terminals.callback(reader.types, SECTIONS[CLEAN_UP][0])
        printed = ""
        for block, following in pairwise([*SECTIONS[step], END]):
            if block.language == "promql":
                reader.sees({query: query.now for query in block.queries})
            elif block.language == "text":
                assert set(block.text.splitlines()) <= set(map(str.rstrip, printed.splitlines()))
            else:
                assert block.language == "sh"
                reader.sees({query: query.before for query in following.queries if query.before})
                if block.text.startswith("locust"):
                    terminals.enter_context(reader.locust(block))
                else:
                    printed = reader.types(block)


def test_the_tutorial_has_four_incidents() -> None:
    """Each has a query or an output."""
    assert len(STEPS) == 4
    for step in STEPS:
        assert any(query.before for block in SECTIONS[step] for query in block.queries), step
