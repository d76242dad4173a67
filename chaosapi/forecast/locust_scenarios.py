"""loadtests/_scenarios.py: what Locust sends, told without Locust."""

import importlib.util
import sys
from functools import cache
from types import ModuleType

from chaosapi import assets


@cache
def load_scenarios() -> ModuleType:
    """Load it by its path: the folder belongs to Locust and is no package."""
    name = "_chaosapi_scenarios"
    spec = importlib.util.spec_from_file_location(name, assets.path("loadtests") / "_scenarios.py")
    assert spec is not None  # noqa: S101 - a path that ends in .py always has a spec; this tells mypy
    assert spec.loader is not None  # noqa: S101 - the same
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # dataclasses look their own module up
    spec.loader.exec_module(made)
    return made
