"""Pass conditions: "p95<300ms,errors<1%"."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from locust.stats import RequestStats

_TERM = re.compile(r"(p\d{1,2}(?:\.\d+)?|avg|max|errors|missed)\s*<\s*(\d+(?:\.\d+)?)\s*(ms|s|%|)")
_UNITS = {"ms": 1.0, "s": 1000.0, "%": 0.01, "": 1.0}
_RATIOS = ("errors", "missed")


@dataclass(frozen=True)
class Expectation:
    """One condition: a figure must stay below the limit, in milliseconds or as a ratio."""

    text: str
    figure: str
    limit: float

    def met(self, found: float) -> bool:
        """Return whether the figure is below the limit."""
        return found < self.limit


def parse(text: str) -> list[Expectation]:
    """Parse conditions separated by commas; raises ValueError with a remedy."""
    return [_parse(term.strip()) for term in text.split(",") if term.strip()]


def _parse(term: str) -> Expectation:
    found = _TERM.fullmatch(term)
    if not found:
        raise ValueError(
            f"{term!r} is no condition such as p95<300ms, p99.9<2s, avg<100ms, max<5s, errors<1% or missed<0.1%"
        )
    figure, number, unit = found.groups()
    if (figure in _RATIOS) == (unit in {"ms", "s"}) or (figure not in _RATIOS and unit == ""):
        raise ValueError(f"{term!r}: {figure} is {'a share: %' if figure in _RATIOS else 'a time: ms or s'}")
    return Expectation(term, figure, float(number) * _UNITS[unit])


def figure(name: str, stats: "RequestStats", planned: int, missed: int) -> float:
    """Return a figure of a finished run: milliseconds, or a ratio; infinite without requests.

    Percentiles are Locust's: of all routes together, to two digits.
    """
    total = stats.total
    if name == "missed":
        return missed / planned if planned else 0.0
    if not total.num_requests:
        return float("inf")
    if name == "errors":
        answered = [entry for entry in stats.entries.values() if entry.method != "MISSED"]
        return sum(entry.num_failures for entry in answered) / total.num_requests
    if name in {"avg", "max"}:
        return float(total.avg_response_time if name == "avg" else total.max_response_time)
    return float(total.get_response_time_percentile(float(name[1:]) / 100))


def describe(expectation: Expectation, found: float) -> str:
    """Return a line with a condition and the measured figure."""
    measured = f"{found:.2%}" if expectation.figure in _RATIOS else f"{found:.0f} ms"
    return f"{'met' if expectation.met(found) else 'NOT met'}: {expectation.text} (it was {measured})"
