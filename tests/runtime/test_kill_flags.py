import subprocess
import sys

from chaosapi.runtime import kill_flags
from chaosapi.runtime.kill_flags import Alarm
from tests.patience import patience

WORKER = """
import sys
from chaosapi.runtime.kill_flags import Alarm

Alarm.joined(int(sys.argv[1]), 3).raise_(5.0, 6.0, halted=True)
"""


def test_what_one_process_raises_all_see() -> None:
    """Also one that joins later, and nothing of it is on a disk."""
    with kill_flags.shared() as file:
        here = Alarm.joined(file, 0)
        assert here.cells() == []
        subprocess.run([sys.executable, "-c", WORKER, str(file)], pass_fds=[file], check=True, timeout=patience(60))
        for each in (here, Alarm.joined(file, 1)):
            (cell,) = each.cells()
            assert (cell.pending, cell.at, cell.made_by, cell.halted) == (True, 5.0, 6.0, True)
        assert sum(here.calls()) == 1
        heir = Alarm.joined(file, 3)
        assert heir.mine == cell
        heir.settle(7)
        (cell,) = here.cells()
        assert (cell.pending, cell.revision, cell.halted) == (False, 7, False)


def test_a_halt_that_is_pending_stays_one_whatever_follows() -> None:
    """Until the store has it."""
    alone = Alarm.alone()
    alone.raise_(1.0, 1.0, halted=True)
    alone.raise_(2.0, 2.0, halted=False)
    assert alone.mine.halted
    alone.settle(1)
    alone.raise_(3.0, 3.0, halted=False)
    assert not alone.mine.halted
