"""Workers get the listening socket of the admin port from each other."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosapi.runtime.workers.handover import Offer, ask

HOST = "127.0.0.1"


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    """Yield a listening socket."""
    with socket.create_server((HOST, 0)) as server:
        yield server


def test_a_worker_gets_the_socket_of_another_one(bound: socket.socket, tmp_path: Path) -> None:
    """The same one, while that worker runs; the folder may have a long path."""
    folder = tmp_path / ("x" * 200)
    folder.mkdir()
    assert ask(folder, HOST, 8001) is None
    offer = Offer(bound, folder, HOST, 8001, 0)
    got = ask(folder, HOST, 8001)
    assert got
    with got:
        assert os.path.samestat(os.fstat(got.fileno()), os.fstat(bound.fileno()))
        assert not os.get_inheritable(got.fileno())
    assert ask(folder, HOST, 8002) is ask(folder, "::1", 8001) is None
    offer.close()
    offer.close()
    assert ask(folder, HOST, 8001) is None
    assert list(folder.iterdir()) == []


def test_a_worker_that_is_frozen_or_was_killed_is_passed_over(bound: socket.socket, tmp_path: Path) -> None:
    """The next one answers."""
    with socket.socket(socket.AF_UNIX) as killed, socket.socket(socket.AF_UNIX) as frozen:
        folder = os.open(tmp_path, os.O_RDONLY)
        killed.bind(f"/proc/self/fd/{folder}/listening-{HOST}-8001-0")
        frozen.bind(f"/proc/self/fd/{folder}/listening-{HOST}-8001-1")
        os.close(folder)
        frozen.listen()
        assert ask(tmp_path, HOST, 8001) is None
        offer = Offer(bound, tmp_path, HOST, 8001, 2)
        got = ask(tmp_path, HOST, 8001)
        assert got
        got.close()
        offer.close()


def test_a_worker_takes_the_place_of_a_killed_one(bound: socket.socket, tmp_path: Path) -> None:
    """The Unix socket of its slot is still there."""
    left = Offer(bound, tmp_path, HOST, 8001, 0)
    offer = Offer(bound, tmp_path, HOST, 8001, 0)
    got = ask(tmp_path, HOST, 8001)
    assert got
    got.close()
    offer.close()
    left.close()
