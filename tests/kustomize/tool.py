"""Kustomize itself: from PATH, else Debian's package unpacked beside the lab's programs, else kubectl's own."""

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

from chaosapi.lab import debian, tools
from chaosapi.lab.releases import UnavailableError


class RefusedError(Exception):
    """Kustomize did not render; the text is what it said."""


def find() -> list[str] | None:
    """Return the command that renders a folder, None where none can be had."""
    if program := shutil.which("kustomize"):
        return [program, "build"]
    kept = tools.tools_folder() / "kustomize"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / ".kustomize.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes may want it at once
        if not kept.is_file():
            with tempfile.TemporaryDirectory(dir=kept.parent, prefix="fetch-") as scratch:
                try:
                    debian.fetch_newest(["kustomize"], Path(scratch))["kustomize"].replace(kept)
                except (UnavailableError, KeyError):
                    return [kubectl, "kustomize"] if (kubectl := shutil.which("kubectl")) else None
    return [str(kept), "build"]


def render(command: list[str], folder: Path) -> str:
    """Return the YAML that a folder renders to; raises RefusedError."""
    done = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr)
    return done.stdout
