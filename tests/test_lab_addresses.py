"""The addresses that a lab publishes, and who reads them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chaosapi import errors
from chaosapi.lab_addresses import LabAddresses, published, running_lab, running_labs


def lab(admin: int) -> LabAddresses:
    """Return the addresses of a lab with its admin API at a port."""
    others = dict.fromkeys(("service", "prometheus", "alertmanager", "locust"), f"http://127.0.0.1:{admin + 1}")
    return LabAddresses.model_validate({"admin": f"http://127.0.0.1:{admin}", **others})


def test_a_lab_is_found_while_it_runs_and_leaves_nothing(tmp_path: Path) -> None:
    """Only its user may read the file."""
    with published(lab(8001), tmp_path) as file:
        assert running_lab({}, tmp_path) == lab(8001)
        assert file.stat().st_mode & 0o777 == 0o600
    assert running_lab({}, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


KILLED = """
import signal, sys
from pathlib import Path
from chaosapi.lab_addresses import LabAddresses, published
with published(LabAddresses.model_validate_json(sys.argv[1]), Path(sys.argv[2])):
    print("published", flush=True)
    signal.pause()
"""


def test_a_killed_lab_is_ignored_and_the_next_one_removes_its_file(tmp_path: Path) -> None:
    """The kernel has freed its lock."""
    command = [sys.executable, "-c", KILLED, lab(8001).model_dump_json(), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"published\n"
        assert running_labs(tmp_path) == [lab(8001)]
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 1
    assert running_lab({}, tmp_path) is None
    with published(lab(18001), tmp_path):
        assert running_lab({}, tmp_path) == lab(18001)
        assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Path]:
    """Run two labs."""
    with ExitStack() as running:
        for port in (18001, 8001):
            running.enter_context(published(lab(port), tmp_path))
        yield tmp_path


def test_of_two_labs_one_is_chosen_by_its_port(two: Path) -> None:
    """Without a choice the error names both, and how to choose."""
    assert running_lab({"CHAOSAPI_LAB": "18001"}, two) == lab(18001)
    assert running_lab({"CHAOSAPI_LAB": "none"}, two) is None
    with pytest.raises(errors.Invalid, match=r"2 labs run.*CHAOSAPI_LAB=\d+.*:18001 .*:8001 "):
        running_lab({}, two)
    with pytest.raises(errors.Invalid, match="no lab has its admin API at port 9; running: http"):
        running_lab({"CHAOSAPI_LAB": "9"}, two)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"admin": 3}', "x" * 100_000])
def test_other_files_are_ignored(tmp_path: Path, content: str) -> None:
    """Those without a lock, links, FIFOs, and those without addresses."""
    (tmp_path / "chaosapi-addresses-x.json").write_text(lab(8001).model_dump_json())
    os.mkfifo(tmp_path / "chaosapi-addresses-fifo.json")
    with published(lab(8001), tmp_path) as file:
        (tmp_path / "chaosapi-addresses-link.json").symlink_to(file)
        file.write_text(content)
        assert running_labs(tmp_path) == []
