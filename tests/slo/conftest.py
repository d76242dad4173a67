"""promtool in every installed version."""

from pathlib import Path

import pytest

from chaosapi.lab import debian
from chaosapi.lab import tools as lab_tools
from chaosapi.lab.errors import ToolMissingError


@pytest.fixture(scope="session", params=["newest", "distribution"])
def promtool(request: pytest.FixtureRequest, tools: dict[str, Path]) -> Path:
    """Return promtool: the lab's version, then the distribution's (2.42 on Debian 12)."""
    if request.param == "newest":
        return tools["promtool"]
    folder = lab_tools.tools_folder() / "system"
    try:
        older = lab_tools.ensure_programs(
            "promtool", folder=folder, sources=(("this system's package", debian.fetch_running),)
        )
    except ToolMissingError as error:
        pytest.skip(str(error))
    if older["promtool"] == tools["promtool"]:
        pytest.skip("promtool on PATH is the only one")
    return older["promtool"]
