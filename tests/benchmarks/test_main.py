import subprocess
import sys
from pathlib import Path

import psutil

from tests.benchmarks.pure import main
from tests.patience import patience

PARENT = """
import pathlib, subprocess, sys, time
out = pathlib.Path(sys.argv[1])
try:
    deaf = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"
    server = subprocess.Popen([sys.executable, "-c", deaf])
    print(server.pid, flush=True)
    server.wait()
finally:
    out.write_text("tidied")
"""


def test_all_usual_benchmarks_together_take_less_than_twenty_minutes() -> None:
    """An unattended run has a known end."""
    assert sum(usual.minutes for usual in main()["USUAL"].values()) < 20


def test_a_benchmark_beyond_its_time_out_cleans_up_and_its_servers_end(tmp_path: Path) -> None:
    """It gets SIGINT, so that its finally blocks run; a server that ignores it is killed."""
    tidied = tmp_path / "tidied"
    command = [sys.executable, "-c", PARENT, str(tidied)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        server = psutil.Process(int(process.stdout.readline()))
        main()["end"](process)
    psutil.wait_procs([server], timeout=patience(30))
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert tidied.read_text() == "tidied"
