import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chaosapi.runtime.workers.folder import remove_left, shared_folder
from tests.patience import patience

MAKE = """
import os
from chaosapi.runtime.workers.folder import shared_folder

with shared_folder() as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_the_folder_is_private_and_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is removed at the end."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with shared_folder() as folder:
        (folder / "file").touch()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_only_folders_of_killed_services_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of running services, nor other folders of a similar name."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    foreign = tmp_path / "chaosapi-workers-foreign"
    foreign.mkdir()
    with shared_folder() as living:
        killed = subprocess.run(
            [sys.executable, "-c", MAKE], env={"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
        )
        left = Path(killed.stdout.strip())
        assert left.is_dir()
        with shared_folder() as folder:
            assert set(tmp_path.iterdir()) == {foreign, living, folder}


def test_a_folder_of_another_user_stops_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are not read: a FIFO would never end."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    foreign = tmp_path / "chaosapi-workers-foreign"
    foreign.mkdir()
    os.mkfifo(foreign / "server")
    monkeypatch.setattr("os.getuid", lambda: foreign.stat().st_uid + 1)
    starting = threading.Thread(target=remove_left, daemon=True)
    starting.start()
    starting.join(patience(5))
    assert not starting.is_alive()
    assert foreign.exists()
