"""Import loadtests/_scenarios.py, which describes the load of Locust and does not need Locust."""

import importlib.util
import sys
from functools import cache
from types import ModuleType

from chaosapi import assets


@cache
def load_scenarios() -> ModuleType:
    """Import the module by its path: the folder of Locust files is not a package.

    Raises ImportError for a path that cannot be imported.
    """
    name = "_chaosapi_scenarios"
    path = assets.path("loadtests") / "_scenarios.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up the module of their class
    spec.loader.exec_module(module)
    return module
