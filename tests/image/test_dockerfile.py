"""The Dockerfile and its lock files, without building anything."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.patience import patience

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LOCKS = {path.stem: path for path in (ROOT / "images").glob("*.lock")}


def pins(path: Path) -> dict[str, frozenset[str]]:
    """Return the hashes of each pin (name==version) of a lock file."""
    blocks = re.split(r"^(?=\w)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {block.split(maxsplit=1)[0]: frozenset(re.findall(r"--hash=sha256:(\w{64})", block)) for block in blocks}


def names(path: Path) -> set[str]:
    """Return what a lock file pins."""
    return {pin.partition("==")[0] for pin in pins(path)}


def hadolint(path: Path) -> str:
    """Return what hadolint finds."""
    program = Path(sys.executable).with_name("hadolint")
    return subprocess.run([program, path], capture_output=True, text=True, check=False, timeout=patience(60)).stdout


def test_hadolint_finds_nothing_and_would_find_something(tmp_path: Path) -> None:
    """The Dockerfile follows the practices that it checks."""
    assert hadolint(ROOT / "Dockerfile") == ""
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(
        re.sub(r"^ARG .*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("${PYTHON_IMAGE}", "python:latest")
    )
    assert "DL3007" in hadolint(wrong)


def test_the_base_is_a_pinned_slim_python() -> None:
    """An official one, exchanged by one argument."""
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    found = re.fullmatch(r"python:(3\.\d+)-slim-\w+", base)
    assert found
    supported = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if " :: Python :: 3." in line]
    assert found[1] in supported
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    known = {"${PYTHON_IMAGE}"}
    for source, stage in stages:
        assert source in known
        known.add(stage)


def test_the_image_label_has_the_version() -> None:
    """That of pyproject.toml."""
    (version,) = re.findall(r'image\.version="([^"]+)"', DOCKERFILE)
    assert version == PROJECT["project"]["version"]


@pytest.mark.parametrize("name", LOCKS)
def test_images_hold_what_the_tests_ran_with(name: str) -> None:
    """Each pin is one of requirements.lock, hashes and all; otherwise run `make lock`."""
    tested = pins(ROOT / "requirements.lock")
    for pin, hashes in pins(LOCKS[name]).items():
        assert hashes
        assert tested[pin] == hashes, pin


def test_the_service_has_what_it_needs_and_nothing_to_test_or_build_with() -> None:
    """All dependencies and Redis; no Locust, no pytest, no build backend."""
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["redis"]]
    locked = names(LOCKS["service"])
    assert {canonicalize_name(Requirement(each).name) for each in wanted} <= locked
    assert not locked & {"hatchling", "locust", "pip", "pytest", "setuptools"}
    assert "hatchling" in names(LOCKS["build"])


def test_locust_has_what_its_files_import() -> None:
    """Every import in loadtests/ is of the standard library, a neighbour, or locked."""
    modules = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "loadtests").glob("*.py")}
    imported = {
        name.partition(".")[0]
        for tree in modules.values()
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    outside = imported - sys.stdlib_module_names - {path.stem for path in modules}
    assert "locust" in outside
    assert {canonicalize_name(name) for name in outside} <= names(LOCKS["locust"])
