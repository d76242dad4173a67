"""The cost of importing and installing chaosapi in an app, compared with importing FastAPI.

Each turn starts a fresh interpreter for each program, one after the other, and takes the processor time of its
statements; the first turn, which may compile files, does not count. The goal is for `import` and `install`, with
FastAPI's own import in both: at most 1.3 times. What is loaded when the app starts is shown beside it.
"""

import argparse
import subprocess
import sys
from statistics import median
from typing import Final

import _numbers
import _report
from rich.console import Console
from rich.table import Table

GOAL: Final = 1.3
START: Final = "app.build_middleware_stack()"
FASTAPI: Final = "import fastapi; app = fastapi.FastAPI()"
INSTALL: Final = f"{FASTAPI}; import chaosapi; chaosapi.install(app)"
PROGRAMS: Final = {
    "import fastapi": FASTAPI,
    "and chaosapi.install(app)": INSTALL,
    "FastAPI, started": f"{FASTAPI}; {START}",
    "with chaosapi, started": f"{INSTALL}; {START}",
}
MEASURE: Final = "import sys, time; t = time.process_time(); {}; print(time.process_time() - t, len(sys.modules))"


def measured(program: str) -> tuple[float, int]:
    """Run a program in a new interpreter; return its CPU seconds and the number of loaded modules."""
    command = [sys.executable, "-c", MEASURE.format(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    seconds, modules = done.stdout.split()
    return float(seconds), int(modules)


def main() -> int:
    """Print a table; exit with 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=_numbers.count, default=20, help="how often each program runs")
    turns = parser.parse_args().turns
    took: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    modules = {}
    for _ in range(turns + 1):
        for name, program in PROGRAMS.items():
            seconds, modules[name] = measured(program)
            took[name].append(seconds)
    first, *_ = PROGRAMS
    table = Table("program", "processor, ms", "times FastAPI's import", "modules")
    ratios = {
        name: median(each / own for each, own in zip(took[name][1:], took[first][1:], strict=True)) for name in took
    }
    for name, values in took.items():
        table.add_row(name, f"{1000 * median(values[1:]):.0f}", f"{ratios[name]:.2f}", str(modules[name]))
    Console().print(table)
    _report.keep("guest", ratios, _report.bars("Import and install, to FastAPI's import", ratios, "times", GOAL))
    return int(ratios["and chaosapi.install(app)"] > GOAL)


if __name__ == "__main__":
    sys.exit(main())
