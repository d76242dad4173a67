"""The time from a fault to the webhook, in a real lab, compared with the forecast and the lower bound.

Two of the ten faults of live_forecast.py, which is the long version: scraped and evaluated every second. The lower
bound is the window: until it holds enough, no monitor in the world may fire. Scrape, evaluation and notification come
on top. About two minutes; the lab stops by itself.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import _numbers
import _report
import live_forecast
from rich.console import Console
from rich.table import Table

from chaosapi.forecast.scorecard import Score, ScoredAlert
from chaosapi.lab import stack
from chaosapi.lab.ports import Ports

RUNS: Final[list[live_forecast.Run]] = [
    ("error 20 %", 20, 35, {"effect": {"type": "error"}, "rate": 0.2}),
    ("error 100 %", 15, 40, {"effect": {"type": "error"}}),
]


def first(scored: Score) -> ScoredAlert | None:
    """Return the first page that was sent."""
    paged = [each for each in scored.alerts if each.severity == "page" and each.fact and each.fact.notified]
    return min(paged, key=lambda each: each.fact.notified or 0.0 if each.fact else 0.0, default=None)


def main() -> int:
    """Measure; exit with 1 if a page differs from the forecast by more than chance explains."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rate", type=_numbers.positive, default=100, help="requests/s")
    parser.add_argument("--port", type=int, default=27000, help="the first of six free ports")
    arguments = parser.parse_args()
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as folder:
        options = stack.Options(
            Path(folder), "lab", Ports(*range(arguments.port, arguments.port + 6)), rate=arguments.rate, traffic=True
        )
        with stack.running(options, lambda text: console.print(text, style="dim")) as lab:
            scores = live_forecast.play(lab, arguments.rate, console, RUNS)
    table = Table("fault", "lower bound, s", "forecast, s", "expected range", "webhook, s", "verdict")
    results = []
    drawn: dict[str, float] = {}
    for scored in scores:
        page = first(scored)
        if page is None or page.fact is None:
            table.add_row(scored.fault, "", "", "", "none", "MISSED")
            results.append(scored.model_dump(mode="json"))
            continue
        bound = page.split.window if page.split else None
        forecast_s = page.forecast.notified if page.forecast else None
        chance = f"{live_forecast.text(page.earliest)}…{live_forecast.text(page.latest)}"
        columns = (
            live_forecast.text(bound),
            live_forecast.text(forecast_s),
            chance,
            live_forecast.text(page.fact.notified),
        )
        table.add_row(scored.fault, *columns, page.verdict)
        results.append(scored.model_dump(mode="json"))
        named = {"lower bound": bound, "forecast": forecast_s, "webhook": page.fact.notified}
        drawn |= {f"{scored.fault}: {name}": value for name, value in named.items() if value is not None}
    console.print(table)
    _report.keep("detection", results, _report.bars("From the fault to the first page", drawn, "seconds"))
    pages = [first(scored) for scored in scores]
    return 0 if all(page and page.verdict in {"as forecast", "by chance"} for page in pages) else 1


if __name__ == "__main__":
    sys.exit(main())
