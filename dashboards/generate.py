"""Writes the dashboards' JSON beside this file and for Kustomize, or below a folder: `generate.py [FOLDER]`."""

import sys
from pathlib import Path

from chaos import chaos
from golden_signals import golden_signals
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from slo import slo
from traffic import traffic

DASHBOARDS = {
    "golden-signals.json": golden_signals,
    "slo.json": slo,
    "chaos.json": chaos,
    "traffic.json": traffic,
}


PRODUCTION = "kustomize/components/production-dashboards/slo.json"


def write(root: Path) -> None:
    """Write every dashboard below `root`; raises OSError where that is not possible."""
    for name, make in DASHBOARDS.items():
        _write(root / "dashboards" / name, make())
    _write(root / PRODUCTION, slo(span="24h", refresh="1m"))


def _write(path: Path, board: model.Dashboard) -> None:
    text = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(board)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
