"""Writes the dashboards' JSON beside this file, or into the folder given: `python dashboards/generate.py [FOLDER]`."""

import sys
from pathlib import Path

from chaos import chaos
from golden_signals import golden_signals
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from slo import slo
from traffic import traffic

DASHBOARDS = {
    "golden-signals.json": golden_signals,
    "slo.json": slo,
    "chaos.json": chaos,
    "traffic.json": traffic,
}


def write(folder: Path) -> None:
    """Write every dashboard into `folder`; raises OSError where that is not possible."""
    for name, make in DASHBOARDS.items():
        text = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(make())
        (folder / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
