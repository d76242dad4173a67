"""The dashboards' JSON against Grafana's own types, of the release that the components are from."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosapi.lab import tools as lab_tools
from tests.dashboards import drawing, typescript
from tests.dashboards.boards import BOARDS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder() -> Path:
    """Return the folder of the packages from npm."""
    return drawing.packages(lab_tools.tools_folder() / "rendering")


def test_every_field_is_one_of_grafana(folder: Path) -> None:
    """No field is unknown to the schema, and none has a value of another type."""
    assert typescript.complaints(folder, BOARDS) == []


def _misspell_a_value(panel: dict[str, Any]) -> None:
    panel["options"]["graphMode"] = "aria"


def _misspell_a_field(panel: dict[str, Any]) -> None:
    panel["fieldConfig"]["defaults"]["noValues"] = panel["fieldConfig"]["defaults"].pop("noValue")


@pytest.mark.parametrize(("spoil", "named"), [(_misspell_a_value, "aria"), (_misspell_a_field, "noValues")])
def test_a_misspelt_field_or_value_is_found(folder: Path, spoil: Callable[[dict[str, Any]], None], named: str) -> None:
    """The check above can fail."""
    board = copy.deepcopy(BOARDS["golden-signals"])
    spoil(next(panel for panel in board["panels"] if panel["type"] == "stat"))
    (complaint,) = typescript.complaints(folder, {"golden-signals": board})
    assert named in complaint
