"""The accuracy of forecasts: promtool decides a grid of cases, see tests/forecast/judge.py.

    PYTHONPATH=. python benchmarks/forecast_grid.py --count 240 --promtool .tools/promtool

Prints every case in which forecast and promtool are not at the very same evaluations, and fails where they are more
than one evaluation apart. About 0.3 s a case.
"""

import argparse
import tempfile
from pathlib import Path

import _numbers

from tests.forecast import judge


def main() -> int:
    """Compare all cases; return 1 if any is more than one evaluation off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=_numbers.count, default=240)
    parser.add_argument("--promtool", type=Path, default=Path(".tools/promtool"))
    given = parser.parse_args()
    promtool = given.promtool.resolve()
    prometheus = judge.version(promtool)
    cases = list(judge.cases(given.seed, given.count))
    same = 0
    near = 0
    fired = 0
    with tempfile.TemporaryDirectory() as folder:
        for case, fact in zip(cases, judge.judged(promtool, Path(folder), cases), strict=True):
            forecast = judge.forecast(case, prometheus)
            fired += bool(fact)
            same += forecast == fact
            near += judge.agree(case, forecast, fact)
            if forecast != fact:
                verdict = "near" if judge.agree(case, forecast, fact) else "FAR"
                print(f"{verdict} {case}\n  forecast {forecast}\n  fact {fact}")
    print(
        f"promtool {prometheus}, seed {given.seed}: {given.count} cases, {fired} of them with alerts; "
        f"{same} at the very same evaluations, {near} within one"
    )
    return int(near < given.count)


if __name__ == "__main__":
    raise SystemExit(main())
