"""Run the benchmarks that are named, or all of the usual ones: `python benchmarks [NAME …]`.

Each is a script of its own, with more options (`python benchmarks/NAME.py --help`); here it gets a time budget, and
what it prints is shown. What they measure, and what it was: docs/performance.md.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

HERE: Final = Path(__file__).parent


class Usual(NamedTuple):
    """One that runs by default: the minutes that it may take here, and the options that keep it short."""

    minutes: float
    options: tuple[str, ...] = ()


USUAL: Final = {
    "cost": Usual(2),
    "overhead": Usual(4.5),
    "rate": Usual(5),
    "latency": Usual(4, ("--seconds", "4")),
    "reaction": Usual(2, ("--changes", "50")),
    "control": Usual(3, ("--seconds", "4", "--kills", "2", "--port", "admin")),
    "detection": Usual(3),
    "growth": Usual(3),
    "workers": Usual(1.5),
}


def about(name: str) -> str:
    """Return the first line of a benchmark's own description."""
    return (HERE / f"{name}.py").read_text().partition('"""')[2].partition("\n")[0]


def main() -> int:
    """Run them one after the other; exit with 1 when one missed its goal or its time."""
    others = sorted({path.stem for path in HERE.glob("[!_]*.py")} - USUAL.keys())
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0] if __doc__ else None,
        epilog=f"usual: {', '.join(USUAL)}; longer, only when named: {', '.join(others)}",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="all usual ones unless given")
    names = parser.parse_args().names or list(USUAL)
    if wrong := set(names) - USUAL.keys() - set(others):
        parser.error(f"there is no {', '.join(sorted(wrong))}: there are {', '.join([*USUAL, *others])}")
    table = Table("benchmark", "seconds", "result")
    failed = False
    for name in names:
        print(f"== {name}: {about(name)}", flush=True)
        started, usual = time.monotonic(), USUAL.get(name)
        result = run(name, usual)
        failed |= result != "holds"
        table.add_row(name, f"{time.monotonic() - started:.0f}", result)
    Console().print(table)
    return int(failed)


def run(name: str, usual: Usual | None) -> str:
    """Run one; whatever it has started ends with it."""
    command = [sys.executable, str(HERE / f"{name}.py"), *(usual.options if usual else ())]
    with subprocess.Popen(command) as process:
        try:
            status = process.wait(60 * usual.minutes if usual else None)
        except subprocess.TimeoutExpired:
            process.terminate()
            return f"took longer than {usual.minutes if usual else 0:g} minutes"
    return "holds" if status == 0 else f"MISSED (exit status {status})"


if __name__ == "__main__":
    sys.exit(main())
