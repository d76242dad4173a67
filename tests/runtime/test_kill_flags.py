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


def test_what_one_process_raises_all_see() -> None:
    """Also one that joins later, and nothing of it is on a disk."""
    with kill_flags.shared_memory() as file:
        here = KillFlags.attach(file, 0)
        assert here.flags() == []
        subprocess.run([sys.executable, "-c", WORKER, str(file)], pass_fds=[file], check=True, timeout=patience(60))
        for each in (here, KillFlags.attach(file, 1)):
            (cell,) = each.flags()
            assert (cell.pending, cell.at, cell.made_by, cell.halted) == (True, 5.0, 6.0, True)
        assert sum(here.call_counts()) == 1
        heir = KillFlags.attach(file, 3)
        assert heir.own == cell
        heir.mark_stored(7)
        (cell,) = here.flags()
        assert (cell.pending, cell.revision, cell.halted) == (False, 7, False)


def test_a_halt_that_is_pending_stays_one_whatever_follows() -> None:
    """Until the store has it."""
    alone = KillFlags.private()
    alone.raise_own(1.0, 1.0, halted=True)
    alone.raise_own(2.0, 2.0, halted=False)
    assert alone.own.halted
    alone.mark_stored(1)
    alone.raise_own(3.0, 3.0, halted=False)
    assert not alone.own.halted
