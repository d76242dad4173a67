"""Debian's packages, unpacked instead of installed: installing would start a daemon on 9090.

apt works on a state of its own, so the system's is neither read nor changed; its mirror, proxy and certificate
settings still hold.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaosapi.lab.releases import UnavailableError

_NEWEST_SUITE: Final = "forky"  # Prometheus 3.5 and Alertmanager 0.33; the static binaries run on Debian 12 as well
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PACKAGES: Final = {  # the packages that may hold a program: promtool got its own one after Debian 12
    "prometheus": ("prometheus",),
    "promtool": ("promtool", "prometheus"),
    "alertmanager": ("prometheus-alertmanager",),
    "amtool": ("prometheus-alertmanager",),
    "kustomize": ("kustomize",),
}
_SHARE: Final = b"/usr/share/prometheus/alertmanager"
_DESCRIPTOR_9: Final = b"/proc/self/fd/9".ljust(len(_SHARE), b"/")
_SCRIPT: Final = """#!/bin/sh
here=$(dirname "$0")
exec 9<"$here/alertmanager.share" "$here/alertmanager.bin" "$@"
"""
_BINARIES: Final = {"alertmanager": "prometheus-alertmanager"}  # programs that have another name in Debian


def fetch_newest(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Unpack `names` from the newest suite into `folder` and return them; raises UnavailableError without one."""
    if not _KEYRING.exists():
        raise UnavailableError(f"no Debian archive keyring at {_KEYRING}")
    uris = _run(["apt-get", "--print-uris", "update"])
    mirror = re.search(r"'(\S+/debian)/dists/[^/']+/InRelease'", uris)
    if mirror is None:
        raise UnavailableError("no Debian mirror in the system's apt sources")
    sources = folder / "sources.list"
    sources.write_text(f"deb [signed-by={_KEYRING}] {mirror[1]} {_NEWEST_SUITE} main\n", encoding="utf-8")
    return _fetch(names, folder, [f"Dir::Etc::sourcelist={sources}", f"Dir::Etc::sourceparts={_empty_folder(folder)}"])


def fetch_running(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Unpack `names` from the suite this machine runs into `folder` and return them; raises UnavailableError."""
    return _fetch(names, folder, [])


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir(exist_ok=True)
    return folder / "empty"


def _fetch(names: Sequence[str], folder: Path, sources: Sequence[str]) -> dict[str, Path]:
    state = folder / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    settings = [
        *sources,
        f"Dir::Etc::preferencesparts={_empty_folder(folder)}",
        f"Dir::State={state}",
        f"Dir::State::status={state / 'status'}",
        f"Dir::Cache={state}",
        "Acquire::Languages=none",
        "APT::Sandbox::User=root",  # the unprivileged one may not read this folder
    ]
    apt = [argument for setting in settings for argument in ("-o", setting)]
    _run(["apt-get", *apt, "-qq", "update"])
    known = set(_run(["apt-cache", *apt, "pkgnames"]).split())
    packages = {next((p for p in _PACKAGES.get(name, ()) if p in known), None) for name in names}
    if None in packages:
        raise UnavailableError(f"no package holds all of {', '.join(names)}")
    _run(["apt-get", *apt, "-qq", "download", *sorted(filter(None, packages))], cwd=state)
    for package in state.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(folder / "root")])
    root = folder / "root"
    paths = {name: root / "usr" / "bin" / _BINARIES.get(name, name) for name in names}
    found = {name: path for name, path in paths.items() if path.is_file()}
    return _relocate_alertmanager(found, root) if "alertmanager" in found else found


def _relocate_alertmanager(found: dict[str, Path], root: Path) -> dict[str, Path]:
    """Make Debian's Alertmanager find its templates here: it reads them from a fixed place under /usr/share.

    That path, inside the program, becomes one of the same length through file descriptor 9, which a small script
    opens. (No setting moves it, and a relative or a plain absolute path would bind the program to a folder.)
    """
    program = found["alertmanager"]
    share = root / _SHARE.decode().lstrip("/")
    content = program.read_bytes()
    if _SHARE not in content:
        return found
    program.write_bytes(content.replace(_SHARE, _DESCRIPTOR_9))
    script = root / "alertmanager"
    script.write_text(_SCRIPT, encoding="utf-8")
    script.chmod(0o755)
    return found | {"alertmanager": script, "alertmanager.bin": program, "alertmanager.share": share}


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise UnavailableError(f"{command[0]} ended with status {done.returncode}: {last}")
    return done.stdout
