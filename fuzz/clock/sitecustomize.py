"""Let another process turn a service's clock: Python runs this first where PYTHONPATH names this folder.

The file that CLOCK_FILE names holds one double, the seconds by which the clock is wrong.
"""

import mmap
import os
import struct
import time
from pathlib import Path

_right = time.time
with Path(os.environ["CLOCK_FILE"]).open("rb") as _file:
    _off = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)

time.time = lambda: _right() + struct.unpack("d", _off[:8])[0]
