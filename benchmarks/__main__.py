"""Run the named benchmarks, or all default ones: `python benchmarks [NAME …]`.

Each is a script of its own, with more options (`python benchmarks/NAME.py --help`); here it gets a time budget, and
what it prints is shown. Time that one leaves over those after it may use. What they measure, and what it was:
docs/performance.md.
"""

import argparse
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

HERE: Final = Path(__file__).parent


class Usual(NamedTuple):
    """A default benchmark: its time-out in minutes, and the options that keep it short."""

    minutes: float
    options: tuple[str, ...] = ()


USUAL: Final = {
    "guest": Usual(0.5, ("--turns", "9")),
    "installed": Usual(0.6, ("--rounds", "5", "--seconds", "1")),
    "cost": Usual(1, ("--turns", "40")),
    "access_log": Usual(0.15),
    "tracing": Usual(0.1, ("--turns", "8")),
    "overhead": Usual(2.5, ("--rounds", "6")),
    "rate": Usual(2.5),
    "latency": Usual(6, ("--rounds", "5")),
    "reaction": Usual(1, ("--changes", "30")),
    "control": Usual(1.5, ("--seconds", "3", "--kills", "2", "--port", "admin")),
    "detection": Usual(1.5),
    "growth": Usual(1.6, ("--rounds", "6")),
    "workers": Usual(1, ("--rounds", "4")),
}
"""All default benchmarks together take less than 20 minutes."""
ENDING: Final = 15.0
"""Seconds that a benchmark has to stop its servers; then they are killed."""


def about(name: str) -> str:
    """Return the first line of a benchmark's docstring."""
    return (HERE / f"{name}.py").read_text().partition('"""')[2].partition("\n")[0]


def main() -> int:
    """Run the benchmarks one after the other; exit with 1 if one misses its goal or its time-out."""
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
    began = time.monotonic()
    until = began
    for name in names:
        print(f"== {name}: {about(name)}", flush=True)
        started = time.monotonic()
        usual = USUAL.get(name)
        # One that is not usual has no limit, so it moves those after it.
        until = until + 60 * usual.minutes if usual else math.inf
        result = run(name, usual.options if usual else (), until - started)
        until = until if usual else time.monotonic()
        failed |= result != "holds"
        table.add_row(name, f"{time.monotonic() - started:.0f}", result)
    table.add_row("all", f"{time.monotonic() - began:.0f}", "MISSED" if failed else "holds")
    Console().print(table)
    return int(failed)


def run(name: str, options: Sequence[str], seconds: float) -> str:
    """Run a benchmark, with a time-out; kill every process that it started."""
    command = [sys.executable, str(HERE / f"{name}.py"), *options]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            status = process.wait(None if seconds == math.inf else seconds)
        except subprocess.TimeoutExpired:
            return f"MISSED (took longer than {seconds:.0f} s)"
        finally:
            end(process)
    return "holds" if status == 0 else f"MISSED (exit status {status})"


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a benchmark and all of its servers: with a signal first, so that it can clean up."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGINT)  # SIGTERM would end Python without its finally blocks
        process.wait(ENDING)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
