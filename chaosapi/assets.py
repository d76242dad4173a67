"""The data folders: at the root of a checkout, inside the package in an installed wheel."""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def path(name: Literal["alerts", "dashboards", "loadtests"]) -> Path:
    """Return the folder called `name`; raises FileNotFoundError if neither a checkout nor a wheel has it."""
    for folder in (_PACKAGE / "_assets" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder {name}/ is neither in the chaosapi package nor next to it")
