import socket
from pathlib import Path
from typing import NamedTuple

from chaosapi.runtime.kill_flags import KillFlags


class Place(NamedTuple):
    """Where one of several workers stands: its slot, and what it shares with the others."""

    slot: int
    folder: Path
    """Theirs alone."""
    admin: socket.socket | None
    """What all listen on, if there is an admin port."""
    kill_flags: KillFlags | None = None
    """How they tell each other of a kill switch."""
