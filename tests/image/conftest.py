"""Images built and run with buildah and podman, on a Debian base from debootstrap."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from chaosapi.lab import tools as lab_tools
from tests.patience import patience

ROOT = Path(__file__).parents[2]
_PROGRAMS = ("buildah", "podman", "runc", "debootstrap")
_BASE = "localhost/chaosapi-test-python"
_PATH = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a build may need to reach a package index; it is lent to the build and stays out of the image.
_LENT = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_ENGINE = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@dataclass
class Engine:
    """Podman and buildah with a store of their own."""

    environment: Mapping[str, str]
    _started: list[str] = field(default_factory=list)

    def run(self, *command: str | Path, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        """Run one of the programs and return what it said."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(600),
            env={**os.environ, **self.environment},
            **options,  # type: ignore[call-overload]
        )
        assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done  # type: ignore[no-any-return]

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run podman."""
        return self.run("podman", *arguments, check=check)

    def start(self, image: str, *arguments: str, user: int, **environment: str) -> str:
        """Start a container as a cluster would, confined, on this machine's loopback; return its name."""
        name = f"chaosapi-test-{uuid4().hex[:8]}"
        confined = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108 - in there
        limits = ["--memory", "256m", "--cpus", "1", "--user", f"{user}:{user}", "--network", "host"]
        variables = [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
        self.podman("run", "--detach", "--name", name, *confined, *limits, *variables, image, *arguments)
        self._started.append(name)
        return name

    def remove(self) -> None:
        """Remove every container that was started."""
        for name in self._started:
            self.podman("rm", "--force", "--time", "0", name, check=False)
        self._started.clear()


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Yield podman and buildah, with a base image for Python; skip where this machine cannot."""
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("debootstrap needs root")
    folder = lab_tools.tools_folder() / "containers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "containers.conf").write_text(_ENGINE)
    places = f'graphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\n{places}')
    engine = Engine(
        {"CONTAINERS_CONF": f"{folder}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf"}
    )
    if engine.podman("image", "exists", _BASE, check=False).returncode:
        _make_base(engine, folder)
    yield engine
    engine.remove()


def _make_base(engine: Engine, folder: Path) -> None:
    """Make what the official Python image is, as far as it matters here: a small Debian with Python and venv."""
    with ExitStack() as cleanup:
        root = folder / f"rootfs-{os.getpid()}"
        cleanup.callback(shutil.rmtree, root, ignore_errors=True)
        packages = "--include=python3,python3-venv,ca-certificates"
        made = engine.run("debootstrap", "--variant=minbase", packages, "bookworm", root, check=False)
        if made.returncode:
            pytest.skip(f"no base image: debootstrap said {made.stdout.strip()[-200:]}")
        tarball = cleanup.enter_context((folder / "base.tar").open("w+b"))
        cleanup.callback((folder / "base.tar").unlink)
        subprocess.run(
            ["tar", "-C", root, "--exclude=./var/cache/apt/archives/*.deb", "-c", "."], stdout=tarball, check=True
        )
        engine.podman("import", "--change", f"ENV {_PATH}", tarball.name, _BASE)


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, str]:
    """Build both images and return their names by target; what has not changed comes from the last run."""
    lent = [word for path in _LENT if Path(path).exists() for word in ("--volume", f"{path}:{path}:ro")]
    built = {}
    for target in ("service", "locust"):
        built[target] = f"localhost/chaosapi-test-{target}"
        options = ["--isolation", "chroot", "--pull-never", "--format", "docker", "--layers", *lent]
        what = ["--build-arg", f"PYTHON_IMAGE={_BASE}", "--target", target, "--tag", built[target], str(ROOT)]
        engine.run("buildah", "bud", *options, *what)
    engine.podman("image", "prune", "--force", "--filter", "until=24h")
    return built


@pytest.fixture
def port() -> int:
    """Return a free port of 127.0.0.1 whose successor is free too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            free: int = server.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", free + 1)).close()
            except (OSError, OverflowError):
                continue
            return free
