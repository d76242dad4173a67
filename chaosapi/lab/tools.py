"""The programs the lab needs: from PATH, else fetched once into a folder of their own."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import chaosapi
from chaosapi.lab import debian, releases
from chaosapi.lab.errors import ToolMissingError

Source = Callable[[Sequence[str], Path], Mapping[str, Path]]
"""Puts the named programs and the files that they need into a folder; returns the paths by file name."""

SOURCES: Final[tuple[tuple[str, Source], ...]] = (
    ("official release", releases.fetch),
    ("Debian's newest package", debian.fetch_newest),
    ("this system's package", debian.fetch_running),
)
_NAMES_ON_PATH: Final = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}


def ensure_programs(
    *names: str,
    folder: Path | None = None,
    sources: Sequence[tuple[str, Source]] = SOURCES,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Path]:
    """Return a runnable program for each of `names`, fetching those that PATH and the cache lack.

    Fetched programs are kept in `folder`, by default `home()`; a second call downloads nothing. Safe to call from
    several processes at once. Raises ToolMissingError, naming what to install and why each source failed.
    """
    folder = folder or tools_folder()
    found = {name: path for name in names if (path := _find_on_path(name) or _find_cached(name, folder))}
    missing = [name for name in names if name not in found]
    if missing:
        with _lock(folder):
            missing = [
                name for name in missing if not _find_cached(name, folder)
            ]  # another process may have been faster
            if missing:
                _fetch(missing, folder, sources, report)
        found |= {name: folder / name for name in names if name not in found}
    return found


def tools_folder() -> Path:
    """Return where fetched tools are kept: CHAOSAPI_TOOLS_DIR, else .tools/ of the checkout, else the user's cache.

    Raises ToolMissingError where there is none of them.
    """
    if chosen := os.environ.get("CHAOSAPI_TOOLS_DIR"):
        return Path(chosen).resolve()
    checkout = Path(chaosapi.__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file():
        return checkout / ".tools"
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "chaosapi"
    try:
        return Path.home() / ".cache" / "chaosapi"
    except RuntimeError:
        raise ToolMissingError(
            "this user has no home folder to keep Prometheus and Alertmanager in: set CHAOSAPI_TOOLS_DIR"
        ) from None


def _find_on_path(name: str) -> Path | None:
    places = (shutil.which(candidate) for candidate in _NAMES_ON_PATH.get(name, (name,)))
    return next((Path(place) for place in places if place and _reports_its_name(Path(place), name)), None)


def _find_cached(name: str, folder: Path) -> Path | None:
    return folder / name if (folder / name).is_file() else None


def _reports_its_name(program: Path, name: str) -> bool:
    """Return whether `--version` prints the name: another program may have the same file name."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and f"{name}, version" in done.stdout + done.stderr


def _fetch(
    names: Sequence[str], folder: Path, sources: Sequence[tuple[str, Source]], report: Callable[[str], None]
) -> None:
    reasons: list[str] = []
    for title, source in sources:
        report(f"fetching {', '.join(names)}: {title}")
        with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as scratch:
            try:
                programs = source(names, Path(scratch))
            except releases.UnavailableError as reason:
                reasons.append(f"{title}: {reason}")
                continue
            here = Path(tempfile.mkdtemp(dir=scratch, prefix="programs-"))
            for name, path in programs.items():
                path.rename(here / name)
            unfit = [name for name in names if not _reports_its_name(here / name, name)]
            if unfit:
                reasons.append(f"{title}: no runnable {', '.join(unfit)}")
                continue
            for name in sorted(programs, key=names.count):  # what a program needs comes before it
                _move(here / name, folder / name)
            return
    raise ToolMissingError(
        f"{', '.join(names)} could not be found or fetched. Install Prometheus and Alertmanager so that they are on "
        "PATH, or put the programs into the folder that CHAOSAPI_TOOLS_DIR names.\n  " + "\n  ".join(reasons)
    )


def _move(source: Path, target: Path) -> None:
    """Move a file at once, so that a name in the folder is a whole program; a folder replaces its predecessor."""
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
    source.replace(target)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the kernel, however this process ends
        yield
