"""The wheel: built, installed with its dependencies into an empty environment, and run in another folder."""

import re
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from chaosapi.lab import tools as lab_tools
from tests.patience import patience

ROOT = Path(__file__).parents[1]
FOLDERS = ("alerts", "dashboards", "loadtests")

pytestmark = pytest.mark.slow


def build(folder: Path, *options: str) -> Path:
    """Build the checkout into `folder` and return the wheel."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), *options, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel the way it is published: from the source distribution."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install `chaosapi[lab]` into an empty environment and return its `chaosapi`."""
    folder = tmp_path_factory.mktemp("installed")
    install(folder, f"{wheel}[lab]")
    return folder / "venv/bin/chaosapi"


def install(folder: Path, *requirements: str) -> Path:
    """Install into an environment, which is created if missing, and return its Python.

    The packages are those that the lock pins, kept beside the lab's programs: a second run downloads nothing.
    """
    python = folder / "venv/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pins = folder / "pins.txt"
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins.write_text("\n".join(re.findall(r"^\w\S*==[^\\\n]*", lock, re.MULTILINE)), encoding="utf-8")
    kept = lab_tools.tools_folder() / "wheels"

    def pip(*options: str | Path) -> subprocess.CompletedProcess[str]:
        command = [python, "-m", "pip", *options, "--constraint", pins, *requirements]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    from_kept = ("install", "--no-index", "--find-links", kept)
    if pip(*from_kept).returncode:
        for done in (pip("download", "--only-binary", ":all:", "--dest", kept), pip(*from_kept)):
            assert done.returncode == 0, done.stdout + done.stderr
    return python


def environment(program: Path) -> dict[str, str]:
    """Return the variables of a plain login, with the installed program first on PATH."""
    return {
        "PATH": f"{program.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(program.parent),
        "CHAOSAPI_TOOLS_DIR": str(lab_tools.tools_folder()),
    }


def free_ports(number: int) -> list[str]:
    """Return free ports of 127.0.0.1."""
    with ExitStack() as held:
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [str(server.getsockname()[1]) for server in servers]


def test_the_wheel_includes_the_data_folders(wheel: Path) -> None:
    """Every file of alerts/, dashboards/ and loadtests/, without compiled files."""
    files = {
        f"chaosapi/_assets/{path.relative_to(ROOT)}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name for name in inside if name.startswith("chaosapi/_assets/")} == files
    assert not [name for name in inside if "__pycache__" in name]


def test_checkout_and_source_distribution_build_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """The source distribution is complete."""
    direct = build(tmp_path, "--wheel")
    assert sorted(zipfile.ZipFile(direct).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def run_in(folder: Path, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program in a folder until it ends, and require status 0."""
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=environment(program),
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_lab_once_runs_from_an_empty_folder(program: Path, tmp_path: Path, tools: dict[str, Path]) -> None:
    """`chaosapi lab --once` starts all parts, waits for targets and rules, and leaves the folder empty."""
    options = ("--port", "--prometheus-port", "--alertmanager-port", "--grafana-port")
    words = [word for pair in zip(options, free_ports(4), strict=True) for word in pair]
    done = run_in(tmp_path, program, "lab", "--once", *words)
    assert re.search(r"targets 2/2 up; rules ([1-9]\d*)/\1 fine", done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_a_scenario_runs_from_an_empty_folder(program: Path, tmp_path: Path) -> None:
    """`chaosapi traffic run` finds the scenarios in the package; nobody answers, but every request is sent."""
    scenario = ("steady", "--rate", "20", "--duration", "1s", "-H", "http://127.0.0.1:9", "--expect", "missed<1%")
    done = run_in(tmp_path, program, "traffic", "run", *scenario)
    assert "20 requests were due and 0 missed" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_serve_responds(program: Path, tmp_path: Path) -> None:
    """`chaosapi serve` serves the shop, and its OpenAPI document has the version."""
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        service = subprocess.Popen(
            [program, "serve", "--port", "0"],
            cwd=tmp_path,
            env=environment(program),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert service.poll() is None, log.read_text()
            time.sleep(0.05)
        assert httpx2.get(f"{found[0]}/api/products/p-0001").json()["id"] == "p-0001"
        assert 'chaosapi_build_info{version="0.1.0"} 1.0' in httpx2.get(f"{found[0]}/metrics").text
    finally:
        service.terminate()
        service.wait(patience(20))
