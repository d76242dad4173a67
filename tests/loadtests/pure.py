"""The modules of loadtests/ that know nothing of Locust."""

import importlib
from typing import Any

import pytest

from tests.loadtests.processes import LOADTESTS


def module(name: str) -> Any:
    """Import one as Locust does: its folder is on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(LOADTESTS))
        return importlib.import_module(name)
