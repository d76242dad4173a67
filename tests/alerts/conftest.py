"""Alertmanager and its amtool, in every version that is here."""

from pathlib import Path

import pytest

from chaosapi.lab import debian
from chaosapi.lab import tools as lab_tools
from chaosapi.lab.errors import ToolMissingError


@pytest.fixture(scope="session", params=["newest", "distribution"])
def programs(request: pytest.FixtureRequest, tools: dict[str, Path]) -> dict[str, Path]:
    """Return Alertmanager and amtool: the lab's, then those of this system's distribution (0.25 on Debian 12)."""
    if request.param == "newest":
        return tools
    names = ("alertmanager", "amtool")
    sources = (("this system's package", debian.fetch_running),)
    try:
        older = lab_tools.ensure_programs(*names, folder=lab_tools.tools_folder() / "system", sources=sources)
    except ToolMissingError as error:
        pytest.skip(str(error))
    if older["amtool"] == tools["amtool"]:
        pytest.skip("Alertmanager on PATH is the only one")
    return older
