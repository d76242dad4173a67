"""The addresses of the labs that this user runs on this machine: a running lab publishes them, and commands find them.

A lab holds its file locked. The kernel frees the lock however the lab ends, so a file without a lock is ignored.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from chaosapi import errors

VARIABLE: Final = "CHAOSAPI_LAB"
"""The environment variable that chooses a lab by the port of its admin API; `none` ignores all labs."""
_NONE: Final = "none"
_PREFIX: Final = "chaosapi-addresses-"
_SUFFIX: Final = ".json"
_MAX_BYTES: Final = 65_536


class LabAddresses(BaseModel):
    """The URLs of a lab's parts, and the file of its admin token; None for parts that it does not have."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    service: str
    admin: str
    prometheus: str
    alertmanager: str
    grafana: str | None = None
    console: str | None = None
    locust: str
    """Locust's page, if traffic with a page is sent; the lab's own traffic has none."""
    locust_metrics: str | None = None
    """The host:port at which Prometheus scrapes Locust; None for a service of the user's own."""
    job: str = "chaosapi"
    """The Prometheus job of the service."""
    profile: str = "lab"
    slo: str | None = None
    """The SLO file."""
    token_file: str | None = None
    log: str | None = None
    """The file with the log of the service; None for a service that the lab did not start."""
    traces: str | None = None
    """The folder with the spans of the service; None where it writes none."""

    def __str__(self) -> str:
        return f"{self.admin} ({self.profile} profile)"

    @property
    def choice(self) -> str:
        """Return the setting with which commands mean this lab."""
        return f"{VARIABLE}={self.admin.rpartition(':')[2]}"


@contextmanager
def published(lab: LabAddresses, folder: Path | None = None) -> Iterator[Path]:
    """Publish the addresses, readable by this user only, until the block ends."""
    folder = folder or Path(tempfile.gettempdir())
    _remove_abandoned(folder)
    descriptor, made = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
    path = Path(f"{made}{_SUFFIX}")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(lab.model_dump_json(indent=1))
            file.flush()
            Path(made).rename(path)  # only now: a reader never finds a file that is not locked
            yield path
        finally:
            path.unlink(missing_ok=True)
            Path(made).unlink(missing_ok=True)


def running_labs(folder: Path | None = None) -> list[LabAddresses]:
    """Return the labs of this user that run, in the order of their admin URLs."""
    folder = folder or Path(tempfile.gettempdir())
    found = (_read(path) for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"))
    return sorted((lab for lab in found if lab), key=lambda lab: lab.admin)


def running_lab(environment: Mapping[str, str] = os.environ, folder: Path | None = None) -> LabAddresses | None:
    """Return the lab that commands mean: the only one, or the one that CHAOSAPI_LAB chooses; None without any.

    Raises errors.Invalid where several run and none is chosen, and where the chosen one does not run.
    """
    chosen = environment.get(VARIABLE)
    if chosen == _NONE:
        return None
    labs = running_labs(folder)
    known = ", ".join(map(str, labs))
    if chosen:
        for lab in labs:
            if lab.admin.endswith(f":{chosen}"):
                return lab
        running = f"running: {known}" if labs else "no lab runs"
        raise errors.Invalid.field(VARIABLE, f"no lab has its admin API at port {chosen}; {running}")
    if len(labs) > 1:
        raise errors.Invalid.field(
            VARIABLE,
            f"{len(labs)} labs run, so choose one by the port of its admin API, as in {labs[0].choice}: {known}",
        )
    return labs[0] if labs else None


def _read(path: Path) -> LabAddresses | None:
    """Return what a running lab of this user has published in a file."""
    with suppress(OSError, ValidationError), _open(path) as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode) or not _is_locked(file.fileno()):
            return None
        return LabAddresses.model_validate_json(file.read(_MAX_BYTES))
    return None


def _open(path: Path) -> BinaryIO:
    """Open a file that another user may have made: no link is followed, and a FIFO does not wait."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError), _open(path) as file:
            if os.fstat(file.fileno()).st_uid == os.geteuid() and not _is_locked(file.fileno()):
                path.unlink()
