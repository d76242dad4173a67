import os
from pathlib import Path

import pytest

from chaosapi.runtime.workers import guests
from chaosapi.runtime.workers.servers import WorkerServer, identity
from chaosapi.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _one_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server = WorkerServer("test", identity(os.getpid()))
    monkeypatch.setattr(guests, "find_server", lambda: server)


def test_workers_share_a_file_unless_they_share_a_store_already() -> None:
    """The memory of one process is no store for several."""
    shared, first = guests.join_workers(Settings())
    assert first
    assert first.membership
    assert shared.store == f"sqlite:///{first.folder}/faults.sqlite"
    given = Settings(store="sqlite:///tmp/faults.db")
    same, second = guests.join_workers(given)
    assert second
    assert second.membership
    assert (same, second.slot, second.folder) == (given, 1, first.folder)
    first.membership.leave()
    second.membership.leave()


def test_a_prometheus_client_that_cannot_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which one to install."""
    monkeypatch.setattr(guests, "version", lambda _: "0.21.1")
    with pytest.raises(RuntimeError, match=r"prometheus-client 0\.22 or newer, but 0\.21\.1"):
        guests.join_workers(Settings())
    assert list(tmp_path.iterdir()) == []


def test_an_admin_port_of_the_systems_choice_is_refused(tmp_path: Path) -> None:
    """Each worker would get another one."""
    with pytest.raises(SettingsError, match="CHAOSAPI_ADMIN_PORT: 0"):
        guests.join_workers(Settings(admin_port=0))
    assert list(tmp_path.iterdir()) == []
