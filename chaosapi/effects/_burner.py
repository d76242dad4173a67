"""Uses CPU time, as a process of its own: `python _burner.py`, which the cpu effect starts and feeds.

Standard input brings the share of one core to use, a C double in [0, 1], as often as it changes; its end ends the
burner, so that nothing burns on without the service, however that went.
"""

import os
import select
import struct
import time

SHARE = struct.Struct("d")
_SLICE = 0.02
"""Seconds in which the share is kept: short beside what anybody measures."""
_OWED = 0.5
"""Seconds of CPU time that are made up for, at most, where others had the core."""
_READ = 512 * SHARE.size


def main() -> None:
    """Burn until standard input ends."""
    share, end, target = 0.0, time.monotonic(), 0.0
    while True:
        waiting = None if share == 0 else max(0.0, end - time.monotonic())
        if select.select([0], [], [], waiting)[0]:
            told = os.read(0, _READ)
            if not told:
                return
            (share,) = SHARE.unpack(told[-SHARE.size :])
            end, target = time.monotonic(), time.process_time()
        start, end = end, time.monotonic() + _SLICE
        target = max(target + share * (end - start), time.process_time() - _OWED)
        target = min(target, time.process_time() + _OWED)
        while time.process_time() < target and time.monotonic() < end:
            pass


if __name__ == "__main__":
    main()
