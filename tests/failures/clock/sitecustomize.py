"""Put a service's clock wrong: Python runs this first where PYTHONPATH names this folder."""

import os
import time

_right = time.time
_off = float(os.environ["CLOCK_OFF"])

time.time = lambda: _right() + _off
