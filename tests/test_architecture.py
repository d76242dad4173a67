"""What the tree promises a newcomer."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_imports_point_down() -> None:
    """The contracts in pyproject.toml hold."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_traffic_never_imports_the_service() -> None:
    """Locust patches the standard library; and a load test that shares code with its target proves little."""
    assert not [path for path in ROOT.glob("loadtests/*.py") if "import chaosapi" in path.read_text()]
    assert not [path for path in ROOT.glob("loadtests/*.py") if "from chaosapi" in path.read_text()]
