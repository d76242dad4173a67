"""The spans of a lab's service: files that `chaosapi trace` reads."""

import importlib.util
import shutil
from pathlib import Path
from typing import Final

_FOLDER: Final = "traces"


def folder(logs: Path) -> Path | None:
    """Return the folder of the spans, beside that of the logs; None where the package that makes spans is missing."""
    return logs.with_name(_FOLDER) if _is_installed() else None


def settings(logs: Path) -> dict[str, str]:
    """Return the settings of a service that writes spans; those of a lab that was here before are removed."""
    place = folder(logs)
    if place is None:
        return {}
    shutil.rmtree(place, ignore_errors=True)
    return {"CHAOSAPI_TRACE_DIR": str(place)}


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.sdk.trace") is not None
    except ModuleNotFoundError:
        return False
