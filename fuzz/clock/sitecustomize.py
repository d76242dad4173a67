"""Let another process step a service's clock: Python imports this first if PYTHONPATH names this folder.

The file CLOCK_FILE holds one double: the error of the clock in seconds.
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
