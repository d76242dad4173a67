import subprocess
import sys
from pathlib import Path

import pytest

from chaosapi.lab import folders

HOLDER = """
import sys, time
from pathlib import Path
from chaosapi.lab import folders
with folders.temporary(Path(sys.argv[1])) as folder:
    (folder / "secret").write_text("token")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_is_private_and_removed_with_its_lab(tmp_path: Path) -> None:
    """With any content."""
    with folders.temporary(tmp_path) as folder:
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "logs").mkdir()
        folders.write_private(folder / "logs" / "secret", "token")
    assert list(tmp_path.iterdir()) == []


def test_folders_of_killed_labs_are_removed_at_the_next_start(tmp_path: Path) -> None:
    """Folders of running labs and other folders stay."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        other = tmp_path / f"{folders.PREFIX}notes"
        other.mkdir()
        link = tmp_path / f"{folders.PREFIX}link"
        link.symlink_to(tmp_path)
        try:
            folders.remove_abandoned(tmp_path)
            assert (left / "secret").exists()
        finally:
            process.kill()
    with folders.temporary(tmp_path):
        assert not left.exists()
        assert other.exists()
        assert link.is_symlink()


def test_a_file_is_private_even_if_it_existed(tmp_path: Path) -> None:
    """It is replaced; a symbolic link in its place is not followed."""
    file = tmp_path / "config"
    file.write_text("much longer than what comes")
    file.chmod(0o644)
    folders.write_private(file, "token")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("token", 0o600)
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(OSError, match="symbolic links"):
        folders.write_private(link, "other")
    assert file.read_text() == "token"
