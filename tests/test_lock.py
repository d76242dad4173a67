"""The lock file matches the requirements of pyproject.toml."""

import re
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_every_requirement_is_pinned() -> None:
    """Each requirement of pyproject.toml is in the lock file with an allowed version; otherwise run `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *chain.from_iterable(project["project"]["optional-dependencies"].values()),
        *project["dependency-groups"]["dev"],
    ]
    pinned: dict[str, list[str]] = {}
    for name, version in re.findall(r"^(\w[^=\s]*)==(\S+)", LOCK, re.MULTILINE):
        pinned.setdefault(name, []).append(version)
    for requirement in map(Requirement, wanted):
        if requirement.name == project["project"]["name"]:
            continue  # an extra that contains others
        versions = pinned.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not locked: run make lock"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement}: run make lock"


def test_every_pin_is_hashed_and_none_has_an_address() -> None:
    """Packages come from the machine's index, and only with the locked hashes."""
    pins = re.split(r"^(?=\w)", LOCK, flags=re.MULTILINE)[1:]
    assert pins
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in LOCK
