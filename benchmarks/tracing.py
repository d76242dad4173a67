"""The price of spans: processor time of a request with one call to a dependency, two spans, as `cost` measures it.

The apps take turns; each figure is the median of the turns. The thread that writes the file is in it. There is no goal:
without the extra, or unless spans are asked for, nothing of this is there.
"""

import argparse
import gc
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

import _numbers
import _report
import _rounds
import uvloop
from cost import REQUEST, Served
from rich.console import Console
from rich.table import Table

from chaosapi.app import create_app
from chaosapi.settings import Settings, SettingsError

UNRECORDED: Final = REQUEST.replace(b"\r\n\r\n", b"\r\ntraceparent: 00-%b-%b-00\r\n\r\n" % (b"4b" * 16, b"b7" * 8))


async def measure(turns: int, requests: int, folder: Path) -> dict[str, list[float]]:
    """Return the processor seconds per request of each candidate, one value for each turn."""
    without = Served(create_app(Settings(access_log=False)))
    spans = Served(create_app(Settings(access_log=False, trace_dir=folder)))
    candidates = {
        "no spans": (without, REQUEST),
        "spans, of a trace that the caller does not record": (spans, UNRECORDED),
        "spans into a file": (spans, REQUEST),
    }
    for served, request in candidates.values():
        await served.ask(request, b" 200 ", 100)
    gc.disable()  # a collection would add to the time of one candidate
    took: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(turns):
        for name in _rounds.order(candidates, turn):
            served, request = candidates[name]
            took[name].append(await served.ask(request, b" 200 ", requests))
        gc.collect()
    return took


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--turns", type=_numbers.count, default=40)
    parser.add_argument("--requests", type=_numbers.count, default=300, help="in each turn")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            took = uvloop.run(measure(arguments.turns, arguments.requests, Path(folder)))
        except SettingsError as error:  # the extra is not installed
            sys.exit(str(error))
    microseconds = {name: 1e6 * median(each) for name, each in took.items()}
    table = Table("", "µs of processor a request")
    for name, each in microseconds.items():
        table.add_row(name, f"{each:.1f}")
    Console(width=120).print(table)
    _report.keep("tracing", microseconds, _report.bars("A request with spans", microseconds, "µs"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
