"""Uses CPU time, as a process of its own: `python _burner.py`, which `chaosapi.runtime.burners` starts and feeds.

Standard input brings orders: the share of one core to use, a C double in [0, 1], and the moment of the monotonic clock,
which all processes of a machine share, until which that is allowed. It burns only while such a lease lasts, so that it
stops by itself when the service stands still; the end of standard input ends it.
"""

import os
import select
import struct
import time

ORDER = struct.Struct("dd")
_SLICE_S = 0.02
"""Seconds in which the share is kept: short beside what anybody measures."""
_MAX_DEBT_S = 0.5
"""Seconds of CPU time that are made up for, at most, where others had the core."""
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
