"""The gain of a second worker: requests per second of one and two, compared with FastAPI under two uvicorn workers.

All servers may use all cores, and wrk takes its share of them: so the figure to look at is what one worker becomes with
two, ours compared with the bare app's. In turn, round after round; ratios are of the same round, medians over all.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final

import _numbers
import _report
import _wrk
from _servers import SERVE, running
from rich.console import Console
from rich.table import Table

PRODUCT: Final = "/api/products/p-0001"
COUNTS: Final = (1, 2)


@contextmanager
def served(folder: Path, who: str, workers: int) -> Iterator[str]:
    """Run workers until the block ends; yield their URL."""
    log = folder / f"{who}-{workers}"
    bare = (sys.executable, str(Path(__file__).parent / "_apps.py"), "bare FastAPI", str(workers))
    with running(log, (*SERVE, "--workers", str(workers)) if who == "chaosapi" else bare) as server:
        yield server.url


def main() -> int:
    """Measure all candidates, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=_numbers.positive, default=2, help="how long a server is pressed in a round")
    parser.add_argument("--rounds", type=_numbers.count, default=7)
    arguments = parser.parse_args()
    _wrk.ready()
    kinds = list(product(("bare FastAPI", "chaosapi"), COUNTS))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        urls = {kind: stack.enter_context(served(Path(folder), *kind)) + PRODUCT for kind in kinds}
        for url in urls.values():
            _wrk.press(url, 1)
        rounds = [
            {kind: _wrk.press(url, arguments.seconds, pinned=False).per_second for kind, url in urls.items()}
            for _ in range(arguments.rounds)
        ]
    table = Table("", "workers", "requests/s", "of one worker", "of bare FastAPI")
    results: list[dict[str, Any]] = []
    for who, workers in kinds:
        rate = median(each[who, workers] for each in rounds)
        alone = median(each[who, workers] / each[who, 1] for each in rounds)
        bare = median(each[who, workers] / each["bare FastAPI", workers] for each in rounds)
        results.append({"who": who, "workers": workers, "rate": rate, "of one": alone, "of bare": bare})
        table.add_row(who, str(workers), f"{rate:,.0f}", f"{alone:.2f}", f"{bare:.2f}")
    Console(width=120).print(table)
    picture = _report.bars(
        f"Workers on {os.cpu_count()} cores, wrk on them too",
        {f"{each['who']}, {each['workers']}": each["rate"] for each in results},
        "requests/s",
    )
    _report.keep("workers", results, picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
