"""The report of a benchmark: figures, machine and versions, and a picture."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

OUT: Final = Path(__file__).parent / "out"
_COLUMNS: Final = 4
"""How many panels stand side by side."""
_VERSIONS: Final = ("chaosapi", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "prometheus-client")

mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 120})


def machine() -> dict[str, Any]:
    """Return a description of the machine, and the load of other programs."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
        "cpus": os.cpu_count(),
        "system": platform.system() + " " + platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        **{name: version(name) for name in _VERSIONS},
    }


def keep(name: str, results: Any, picture: Figure, **facts: Any) -> None:
    """Write NAME.json and NAME.png, and print the machine."""
    OUT.mkdir(exist_ok=True)
    where = machine()
    (OUT / f"{name}.json").write_text(json.dumps({**where, **facts, "results": results}, indent=1))
    picture.savefig(OUT / f"{name}.png", bbox_inches="tight")
    print(", ".join(f"{what} {value}" for what, value in where.items()))


def bars(title: str, values: Mapping[str, float], unit: str, line: float | None = None) -> Figure:
    """Draw a bar for each value, the first at the top, and a line at the goal."""
    figure = Figure(figsize=(7, 0.8 + 0.32 * len(values)))
    axes = figure.subplots()
    axes.barh(list(values), list(values.values()), color="#4477aa", height=0.6)
    axes.bar_label(axes.containers[0], fmt="%.3g", padding=3)  # type: ignore[arg-type]
    axes.invert_yaxis()
    axes.set(title=title, xlabel=unit)
    axes.margins(x=0.12)
    if line is not None:
        axes.axvline(line, color="#cc3311", linestyle="--", linewidth=1)
    return figure


Curve = Sequence[tuple[float, float]]


def curves(panels: Mapping[str, Mapping[str, Curve]], across: Mapping[str, str]) -> Figure:
    """Draw a panel of lines for each title; `across` is the label of the horizontal axis."""
    across_page = min(len(panels), _COLUMNS)
    down = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(3.6 * across_page, 3.0 * down), layout="constrained")
    for place, (title, lines) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(down, across_page, place)
        for name, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1.2, label=name)
        axes.set(title=title, xlabel=across[title])
        axes.set_ylim(bottom=0)
        if len(lines) > 1:
            axes.legend(frameon=False)
    return figure
