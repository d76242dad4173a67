"""Official release tarballs from GitHub, taken only when their SHA-256 is the pinned one."""

import hashlib
import platform
import shutil
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

# Short to connect, so that a closed network costs a moment; long once bytes flow.
_TIMEOUTS: Final = httpx2.Timeout(15, connect=3)
_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class UnavailableError(Exception):
    """This source cannot provide the tools; the text is the reason."""


@dataclass(frozen=True)
class Release:
    """One release: `url` with {arch}, the SHA-256 of each Linux tarball by architecture, the programs inside."""

    url: str
    sha256: Mapping[str, str]
    programs: Collection[str]


# Each digest was found, identical, in many independent public repositories that pin the same release.
OFFICIAL: Final = (
    Release(
        "https://github.com/prometheus/prometheus/releases/download/v3.5.0/prometheus-3.5.0.linux-{arch}.tar.gz",
        {
            "amd64": "e811827af26d822afb09a4f28314f61b618b12cff5369835a67f674d8b46f39a",
            "arm64": "173389cc42bf09c4e6e54cb53fa07a5a835d7c261e14775d2183181d6e385d1c",
        },
        ("prometheus", "promtool"),
    ),
    Release(
        "https://github.com/prometheus/alertmanager/releases/download/v0.28.1/alertmanager-0.28.1.linux-{arch}.tar.gz",
        {
            "amd64": "5ac7ab5e4b8ee5ce4d8fb0988f9cb275efcc3f181b4b408179fafee121693311",
            "arm64": "d8832540e5b9f613d2fd759e31d603173b9c61cc7bb5e3bc7ae2f12038b1ce4f",
        },
        ("alertmanager", "amtool"),
    ),
)


def fetch(names: Sequence[str], folder: Path, releases: Sequence[Release] = OFFICIAL) -> dict[str, Path]:
    """Download what holds `names` into `folder` and return the programs by name.

    Raises UnavailableError when this machine has no pinned release, the network is closed or a digest differs.
    """
    arch = _ARCHITECTURES.get(platform.machine().lower())
    if platform.system() != "Linux" or arch is None:
        raise UnavailableError(f"no release is pinned for {platform.system()} on {platform.machine()}")
    found: dict[str, Path] = {}
    for release in releases:
        wanted = [name for name in names if name in release.programs]
        if wanted:
            tarball = _download(release.url.format(arch=arch), release.sha256[arch], folder)
            found |= _unpack(tarball, wanted, folder)
    return found


def _download(url: str, sha256: str, folder: Path) -> Path:
    target = folder / url.rpartition("/")[2]
    digest = hashlib.sha256()
    try:
        with (
            httpx2.stream("GET", url, timeout=_TIMEOUTS, follow_redirects=True) as response,
            target.open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_bytes():
                digest.update(chunk)
                file.write(chunk)
    except httpx2.HTTPError as error:
        raise UnavailableError(f"{url}: {error}") from error
    if digest.hexdigest() != sha256:
        target.unlink()
        raise UnavailableError(f"{url} refused: its SHA-256 is {digest.hexdigest()}, pinned is {sha256}")
    return target


def _unpack(tarball: Path, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Extract only the named programs, so that no path inside the tarball is trusted."""
    found: dict[str, Path] = {}
    with tarfile.open(tarball) as archive:
        for member in archive:
            name = Path(member.name).name
            if name in names and member.isfile() and (source := archive.extractfile(member)):
                found[name] = folder / name
                with source, found[name].open("wb") as target:
                    shutil.copyfileobj(source, target)
                found[name].chmod(0o755)
    return found
