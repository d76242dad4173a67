import subprocess
import sys

from chaosapi.runtime import kill_flags
from chaosapi.runtime.kill_flags import KillFlags
from tests.patience import patience

WORKER = """
import sys
from chaosapi.runtime.kill_flags import KillFlags

KillFlags.attach(int(sys.argv[1]), 3).raise_own(5.0, 6.0, halted=True)
"""


def test_all_processes_see_a_raised_flag() -> None:
    """Also a process that joins later; the flags are in memory only."""
    with kill_flags.shared_memory() as file:
        here = KillFlags.attach(file, 0)
        assert here.flags() == []
        subprocess.run([sys.executable, "-c", WORKER, str(file)], pass_fds=[file], check=True, timeout=patience(60))
        for each in (here, KillFlags.attach(file, 1)):
            (cell,) = each.flags()
            assert (cell.pending, cell.at, cell.created_until, cell.halted) == (True, 5.0, 6.0, True)
        assert sum(here.call_counts()) == 1
        heir = KillFlags.attach(file, 3)
        assert heir.own == cell
        heir.mark_stored(7)
        (cell,) = here.flags()
        assert (cell.pending, cell.revision, cell.halted) == (False, 7, False)


def test_a_pending_halt_stays_a_halt_after_further_calls() -> None:
    """Until it is stored."""
    alone = KillFlags.private()
    alone.raise_own(1.0, 1.0, halted=True)
    alone.raise_own(2.0, 2.0, halted=False)
    assert alone.own.halted
    alone.mark_stored(1)
    alone.raise_own(3.0, 3.0, halted=False)
    assert not alone.own.halted
