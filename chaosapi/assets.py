"""Where the files beside the code are: in a checkout at its root, in an installed wheel inside the package."""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def path(name: Literal["alerts", "dashboards", "loadtests"]) -> Path:
    """Return the folder called `name`; raises FileNotFoundError where neither a checkout nor a wheel holds it."""
    for folder in (_PACKAGE / "_assets" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder {name}/ is neither in the chaosapi package nor beside it")
