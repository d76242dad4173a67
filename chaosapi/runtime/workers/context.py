import socket
from pathlib import Path
from typing import NamedTuple

from chaosapi.runtime.kill_flags import KillFlags
from chaosapi.runtime.workers.membership import Membership


class WorkerContext(NamedTuple):
    """The slot of one of several workers, and what all of them share."""

    slot: int
    folder: Path
    """For files of the workers; other users cannot read it."""
    admin: socket.socket | None
    """The listening socket of the admin port, if there is one."""
    kill_flags: KillFlags | None = None
    """Announces a kill switch to all workers."""
    membership: Membership | None = None
    """Under another server than `chaosapi serve`: leaves the slot."""
