"""Rules of the source tree."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_imports_point_down() -> None:
    """The contracts in pyproject.toml hold."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_loadtests_never_import_the_service() -> None:
    """Locust patches the standard library, and a load test that shares code with its target proves little."""
    assert not [path for path in ROOT.glob("loadtests/*.py") if "import chaosapi" in path.read_text()]
    assert not [path for path in ROOT.glob("loadtests/*.py") if "from chaosapi" in path.read_text()]


@pytest.mark.parametrize("package", ["forecast", "runtime/workers"])
def test_the_contents_of_a_package_name_each_module(package: str) -> None:
    """The docstring of its `__init__` is a table of contents."""
    folder = ROOT / "chaosapi" / package
    contents = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert {name for name in modules if not re.search(rf"\b{name}\b", contents)} == set()


def test_no_two_public_classes_share_a_name() -> None:
    """A search for a class has one result. Only typed dictionaries of responses repeat the names of API models."""
    homes: dict[str, list[str]] = {}
    for path in sorted((ROOT / "chaosapi").rglob("*.py")):
        if path.name == "answers.py" and path.parent.name == "clients":
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}
