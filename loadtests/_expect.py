"""Pass conditions: "p95<300ms,errors<1%", and whether a run met them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from locust.stats import RequestStats

_TERM = re.compile(r"(p\d{1,2}(?:\.\d+)?|avg|max|errors|missed)\s*<\s*(\d+(?:\.\d+)?)\s*(ms|s|%|)")
_UNITS = {"ms": 1.0, "s": 1000.0, "%": 0.01, "": 1.0}
_RATIOS = ("errors", "missed")
UNPLANNED = "only a scenario in the open model plans requests"
_EXAMPLES = "p95<300ms, p99.9<2s, avg<100ms, max<5s, errors<1% or missed<0.1%"


@dataclass(frozen=True)
class Expectation:
    """One condition: a figure must stay below the limit, in milliseconds or as a ratio."""

    text: str
    figure: str
    limit: float


@dataclass(frozen=True)
class Measured:
    """A run in numbers: its statistics, `requests` that ended, those that were answered, the plan and what it missed.

    `requests` is counted apart from the statistics, which can be reset. `planned` is 0 without a plan. `cut_short` says
    how the run ended before its time; it is empty for a whole run.
    """

    stats: "RequestStats"
    requests: int
    answered: int
    planned: int = 0
    missed: int = 0
    cut_short: str = ""


class Verdict(NamedTuple):
    """Whether a condition was met, and a line that says so with the measured figure."""

    met: bool
    text: str


class NotMeasuredError(Exception):
    """A run has no such figure; the text says why."""


def parse(text: str) -> list[Expectation]:
    """Parse conditions separated by commas; raises ValueError with a remedy."""
    terms = [term.strip() for term in text.split(",") if term.strip()]
    if text.strip() and not terms:
        raise ValueError(f"{text!r} has no condition such as {_EXAMPLES}")
    return [_parse(term) for term in terms]


def _parse(term: str) -> Expectation:
    found = _TERM.fullmatch(term)
    if not found:
        raise ValueError(f"{term!r} is no condition such as {_EXAMPLES}")
    figure, number, unit = found.groups()
    if (figure in _RATIOS) == (unit in {"ms", "s"}) or (figure not in _RATIOS and unit == ""):
        raise ValueError(f"{term!r}: {figure} is {'a share: %' if figure in _RATIOS else 'a time: ms or s'}")
    return Expectation(term, figure, float(number) * _UNITS[unit])


def judge(expected: Sequence[Expectation], run: Measured) -> list[Verdict]:
    """Return a verdict for each condition, and one more for a run that ended before its time."""
    verdicts = [_verdict(each, run) for each in expected]
    if run.cut_short:
        verdicts.append(Verdict(met=False, text=f"NOT met: a whole run ({run.cut_short})"))
    return verdicts


def _verdict(expected: Expectation, run: Measured) -> Verdict:
    try:
        found = figure(expected.figure, run)
    except NotMeasuredError as reason:
        return Verdict(met=False, text=f"NOT met: {expected.text} (not measured: {reason})")
    measured = f"{found:.2%}" if expected.figure in _RATIOS else f"{found:.0f} ms"
    partial = bool(run.cut_short) and expected.figure != "missed"  # what a whole run would have given is unknown
    met = found < expected.limit and not partial
    until = " until the run ended early" if partial else ""
    return Verdict(met, f"{'met' if met else 'NOT met'}: {expected.text} (it was {measured}{until})")


def figure(name: str, run: Measured) -> float:
    """Return a figure of a finished run: milliseconds, or a ratio. Raises NotMeasuredError.

    Percentiles are Locust's: of all routes together, to two digits.
    """
    if name == "missed":
        if not run.planned:
            raise NotMeasuredError(UNPLANNED)
        return run.missed / run.planned
    total = run.stats.total
    if not run.requests:
        raise NotMeasuredError("no request ended")
    if total.num_requests < run.requests:
        raise NotMeasuredError(f"the statistics were reset: they have {total.num_requests} of {run.requests} requests")
    if name == "errors":
        answered = [entry for entry in run.stats.entries.values() if entry.method != "MISSED"]
        return sum(entry.num_failures for entry in answered) / total.num_requests
    if not run.answered:
        raise NotMeasuredError("no request was answered")
    if name in {"avg", "max"}:
        return float(total.avg_response_time if name == "avg" else total.max_response_time)
    return float(total.get_response_time_percentile(float(name[1:]) / 100))
