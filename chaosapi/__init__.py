"""A practice range for on-call.

`chaosapi.install(app)` and `chaosapi.ChaosMiddleware` bring it to any app, `chaosapi.point` to what the app calls.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaosapi.injection.dependencies import DependencyError, point
    from chaosapi.installation import ChaosMiddleware, install
    from chaosapi.logger import RequestIdFilter

__all__ = ["ChaosMiddleware", "DependencyError", "RequestIdFilter", "install", "point"]

_HOMES = {
    "ChaosMiddleware": "chaosapi.installation",
    "install": "chaosapi.installation",
    "DependencyError": "chaosapi.injection.dependencies",
    "point": "chaosapi.injection.dependencies",
    "RequestIdFilter": "chaosapi.logger",
}

# A library is silent unless the host asks: whatever is logged goes through the standard library's `chaosapi` loggers.
logging.getLogger("chaosapi").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Import on first use: what is not asked for is not loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module 'chaosapi' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
