"""The modules of benchmarks/, whose folder is no package."""

import importlib
import runpy
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


def module(name: str) -> Any:
    """Import a module with its folder on the path, as the scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module(name)


def main() -> dict[str, Any]:
    """Return the namespace of benchmarks/__main__.py."""
    return runpy.run_path(str(BENCHMARKS / "__main__.py"))
