"""What `make` sets up before it runs a target."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUP = """#!/bin/sh
echo "$2" >>log
mkdir -p "$1/bin"
if [ -e breaks ]; then exit 1; fi
for program in chaosapi pytest; do printf '#!/bin/sh\\n' >"$1/bin/$program"; chmod +x "$1/bin/$program"; done
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the real Makefile and a script that records what it would install."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("lab.lock", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts/venv.sh"
    script.write_text(SETUP, encoding="utf-8")
    script.chmod(0o755)
    return tmp_path


def outside() -> dict[str, str]:
    """Return the environment without what a `make` that runs these tests adds."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def installs(checkout: Path, *targets: str) -> list[str]:
    """Make targets one after the other, and return the lock files that are installed."""
    log = checkout / "log"
    log.write_text("")
    for target in targets:
        subprocess.run(["make", target], cwd=checkout, env=outside(), capture_output=True, check=False, timeout=60)
    return log.read_text().split()


def test_the_demo_and_the_lab_install_what_they_run(checkout: Path) -> None:
    """Once, and no tools of developers."""
    assert installs(checkout, "demo", "lab", "demo") == ["lab.lock"]


@pytest.mark.parametrize("order", [("demo", "test"), ("test", "demo")])
def test_tests_complete_the_environment_in_either_order(checkout: Path, order: tuple[str, str]) -> None:
    """Whatever is ready for tests is ready to run."""
    assert installs(checkout, *order, *order) == [*(["lab.lock"] if order[0] == "demo" else []), "requirements.lock"]


@pytest.mark.parametrize("target", ["demo", "test"])
def test_a_setup_that_broke_off_is_done_again(checkout: Path, target: str) -> None:
    """Its stamp is written last, and that of a smaller setup stays."""
    (checkout / "breaks").touch()
    assert len(installs(checkout, target)) == 1
    (checkout / "breaks").unlink()
    assert len(installs(checkout, target, target)) == 1


def test_a_new_lock_is_installed(checkout: Path) -> None:
    """By the next target that needs it."""
    installs(checkout, "test", "demo")
    later = (checkout / ".venv/.ready").stat().st_mtime + 10
    os.utime(checkout / "lab.lock", (later, later))
    assert installs(checkout, "demo") == ["lab.lock"]


@pytest.mark.parametrize("target", ["demo", "lab"])
def test_ctrl_c_is_no_error(checkout: Path, target: str) -> None:
    """The program stops by itself and says so; `make` adds no line."""
    installs(checkout, target)
    program = checkout / ".venv/bin/chaosapi"
    program.write_text(
        "#!/bin/sh\ntrap 'echo stopped; exit 130' INT\necho up\nfor _ in $(seq 600); do sleep 0.1; done\n"
    )
    with subprocess.Popen(
        ["make", target],
        cwd=checkout,
        env=outside(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as make:
        try:
            assert make.stdout
            assert make.stdout.readline() == "up\n"
            os.killpg(make.pid, signal.SIGINT)
            assert make.communicate(timeout=60)[0] == "stopped\n"
        finally:
            make.kill()


def test_a_lab_that_fails_is_an_error(checkout: Path) -> None:
    """Only Ctrl-C is a usual end."""
    installs(checkout, "lab")
    (checkout / ".venv/bin/chaosapi").write_text("#!/bin/sh\nexit 1\n")
    made = subprocess.run(["make", "lab"], cwd=checkout, env=outside(), capture_output=True, check=False, timeout=60)
    assert made.returncode == 2
