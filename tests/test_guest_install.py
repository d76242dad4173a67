"""The base install: small, complete, and compatible with old and new versions of shared packages."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from chaosapi.cli import ENTRIES
from tests.test_guest import PROGRAM, check_answers
from tests.test_wheel import ROOT, build, install

pytestmark = pytest.mark.slow

MOST_PACKAGES = 20
MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    return build(tmp_path_factory.mktemp("dist"), "--wheel")


@pytest.fixture(scope="module")
def base(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install chaosapi into an empty environment; return its Python."""
    return install(tmp_path_factory.mktemp("base"), str(built))


def visited(python: Path, folder: Path) -> None:
    """Run the host app of test_guest.py, ignoring deprecation warnings of old packages, and check its report."""
    report = folder / "report.json"
    done = subprocess.run([python, PROGRAM, report], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    check_answers(found)
    assert found["ended"]["interpreter"] == found["started"]
    assert {status for status, _ in found["forecasts"]} == {501}


def test_the_base_install_is_small(base: Path) -> None:
    """At most 20 packages and 20 MB, without pip, setuptools and compiled files."""
    (packages,) = base.parents[1].glob("lib/python*/site-packages")
    left_out = ("pip", "setuptools", "_distutils_hack", "distutils-precedence", "pkg_resources")
    names = {path.name.partition("-")[0] for path in packages.glob("*.dist-info")} - {*left_out}
    files = [
        path
        for path in packages.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.relative_to(packages).parts[0].startswith(left_out)
    ]
    assert len(names) <= MOST_PACKAGES, sorted(names)
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


def test_the_base_install_is_complete(base: Path, tmp_path: Path) -> None:
    """Faults and the admin API work; forecasts name the missing extra."""
    visited(base, tmp_path)


def test_every_command_names_its_extra(base: Path, built: Path) -> None:
    """First the command line itself; with it installed, each command that needs another extra."""
    program = base.with_name("chaosapi")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)

    alone = run("serve")
    assert alone.returncode == 2
    assert alone.stderr == "chaosapi: the command line needs the cli extra: pip install 'chaosapi[cli]'\n"
    install(base.parents[2], f"{built}[cli]")
    for name, entry in ENTRIES.items():
        done = run(name, *(["lint"] if name == "slo" else []))
        if entry.extra == "cli":
            assert "pip install" not in done.stdout + done.stderr
        else:
            assert done.returncode == 2
            assert (
                f"chaosapi {name} needs the {entry.extra} extra: pip install 'chaosapi[{entry.extra}]'" in done.stderr
            )


def oldest() -> list[str]:
    """Return the oldest versions that pyproject.toml allows for the base install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = []
    for requirement in map(Requirement, project["dependencies"]):
        (floor,) = [each.version for each in requirement.specifier if each.operator == ">="]
        pins.append(f"{requirement.name}=={floor}")
    return pins


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the oldest versions have no wheels for this Python")
def test_it_runs_with_the_oldest_versions_it_allows(built: Path, tmp_path: Path) -> None:
    """Each at its lower bound, and all at once; the tests of faults inside apps and in threads pass as well."""
    python = _with(tmp_path, built, *oldest(), "pytest", "httpx<0.28")
    visited(python, tmp_path)
    (tmp_path / "tests").mkdir()
    for name in ("__init__.py", "patience.py", "test_inner.py", "injection/test_sync_points.py"):
        shutil.copy(Path(__file__).parent / name, tmp_path / "tests")
    options = ["-q", "-W", "ignore", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    command = [str(python), "-m", "pytest", *options, "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout


def test_it_runs_with_the_newest_versions(built: Path, tmp_path: Path) -> None:
    """The newest versions of the index."""
    visited(_with(tmp_path, built), tmp_path)


def _with(folder: Path, *requirements: str | Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    command = [python, "-m", "pip", "install", "--only-binary", ":all:", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return python
