"""The modules of loadtests/ that do not import Locust."""

import importlib
from typing import Any

import pytest

from tests.loadtests.processes import LOADTESTS


def module(name: str) -> Any:
    """Import a module with its folder on the path, as Locust does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(LOADTESTS))
        return importlib.import_module(name)
