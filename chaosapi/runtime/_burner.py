"""Use CPU time, as a process of its own: `python _burner.py`, started and fed by `chaosapi.runtime.burners`.

Standard input brings orders: the share of one core to use, a C double in [0, 1], and the end of the lease, a time of
the monotonic clock, which all processes of a machine share. A burner works only during a lease, so that it stops by
itself when the service hangs; the end of standard input ends it.
"""

import os
import select
import struct
import time

ORDER = struct.Struct("dd")
_SLICE_S = 0.02
"""The share is kept over this time; it is short compared with the interval of any measurement."""
_MAX_DEBT_S = 0.5
"""CPU time that is made up for, at most, after other processes had the core."""
_READ_BYTES = 512 * ORDER.size


def main() -> None:
    """Burn until standard input ends."""
    share = 0.0
    lease = 0.0
    end = time.monotonic()
    target = 0.0
    while True:
        idle = share == 0 or end >= lease
        if select.select([0], [], [], None if idle else max(0.0, end - time.monotonic()))[0]:
            read = os.read(0, _READ_BYTES)
            if not read:
                return
            former = share
            share, lease = ORDER.unpack(read[-ORDER.size :])
            if idle or share != former:
                end = time.monotonic()
                target = time.process_time()
        start = end
        end = min(time.monotonic() + _SLICE_S, lease)
        target = max(target + share * (end - start), time.process_time() - _MAX_DEBT_S)
        target = min(target, time.process_time() + _MAX_DEBT_S)
        while time.process_time() < target and time.monotonic() < end:
            pass


if __name__ == "__main__":
    main()
