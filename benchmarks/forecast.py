"""How fast a forecast is: 30 days at production windows, scraped and evaluated every 15 s, all SLOs of the shop.

The promise: under 2 s. Prints the median of `--runs` for several faults.
"""

import argparse
import statistics
import time
from typing import Any

import _numbers
from rich.console import Console
from rich.table import Table

from chaosapi import assets
from chaosapi.faults.fault import Fault
from chaosapi.forecast import timetable
from chaosapi.forecast.monitoring import Monitoring
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo import spec, windows

PROMISE = 2.0
MONTH = 30 * 86400.0
ERRORS = {"effect": {"type": "error"}, "rate": 0.002}
LATE = {"type": "latency", "distribution": {"type": "lognormal", "median": "120ms", "p99": "900ms"}}
FAULTS: dict[str, list[dict[str, Any]]] = {
    "constant errors for a day": [ERRORS | {"schedule": {"duration": "24h"}}],
    "constant errors for all of it": [ERRORS | {"schedule": {"duration": MONTH}}],
    "a sine of errors for all of it": [
        ERRORS | {"schedule": {"duration": MONTH, "shape": {"type": "sine", "period": "24h"}}}
    ],
    "pulses of errors, checkouts late": [
        ERRORS | {"rate": 0.05, "schedule": {"duration": MONTH, "shape": {"type": "pulse", "on": "5m", "off": "12h"}}},
        {"effect": LATE, "rate": 0.5, "target": {"routes": ["/api/checkout"]}, "schedule": {"duration": "24h"}},
    ],
}


def main() -> int:
    """Measure; return 1 if the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=_numbers.count, default=5)
    runs = parser.parse_args().runs
    shop = spec.load(assets.path("alerts") / "slo.yaml")
    profile = windows.load("production")
    table = Table("30 days of", "seconds (median)", "worst")
    slowest = 0.0
    for name, bodies in FAULTS.items():
        faults = [Fault.model_validate(body) for body in bodies]
        took = []
        for _ in range(runs):
            started = time.perf_counter()
            timetable.forecast(faults, Traffic.of_shop(), shop, profile, Monitoring(horizon=MONTH))
            took.append(time.perf_counter() - started)
        slowest = max(slowest, statistics.median(took))
        table.add_row(name, f"{statistics.median(took):.2f}", f"{max(took):.2f}")
    Console().print(table)
    return int(slowest > PROMISE)


if __name__ == "__main__":
    raise SystemExit(main())
