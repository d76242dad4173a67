"""Unit tests for the rules in promtool's format: they hold the rules to the closed formulas of `burn_rate`.

All times lie on a grid of one step, which is both the scrape and the evaluation interval. Each pair has a grid and a
file of its own, in proportion to its windows, since promtool's time grows with steps times samples. Versions of
Prometheus differ: version 3 leaves out the sample at a window's left edge, so a window is one step shorter than in
version 2. A pair is therefore tested at the last step at which neither version may fire, and at the first step at which
both must fire; the two lie around the predicted time, at most three steps apart.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import RootModel

from chaosapi import errors
from chaosapi.slo import burn_alerts, burn_rate, document, events
from chaosapi.slo.events import EventSeries
from chaosapi.slo.promtool_cases import Case, PlayedTraffic, nothing_fires, pair_fires, selector
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair, format_window

REQUESTS_PER_STEP = 100_000
"""The fewest requests a step in the tests' traffic."""

MIN_BAD_PER_STEP = 5
"""The fewest bad events a step: rounding fewer to a whole number would change the error ratio too much."""

_EXAMPLE = '%s: {good: [requests_total{code="200"}], bad: [requests_total{code="500"}]}'

STEPS_PER_SHORT_WINDOW = 5
"""Steps in the short window of the pair under test."""


class TrafficFile(RootModel[dict[str, EventSeries]]):
    """The series of each SLO, by its name, or by service and name (`shop-availability`) where names repeat."""

    def of(self, spec: Spec, slo: Objective) -> EventSeries:
        """Return the series of an SLO, derived from its queries where there is no file; raises errors.Invalid."""
        for name in (spec.identity_labels(slo)["sloth_id"], slo.name):
            if name in self.root:
                return self.root[name]
        if self.root:
            raise errors.Invalid.field(slo.name, "the traffic file does not list the series of its good and bad events")
        try:
            return events.derive(slo)
        except ValueError as reason:
            raise errors.Invalid.field(
                slo.name,
                f"{reason}. Write its series into a file, {_EXAMPLE % slo.name}, and give it by --traffic "
                "(traffic.yaml next to the SLO file is found by itself)",
            ) from None


def load(path: Path | None, spec_file: Path) -> TrafficFile:
    """Read a traffic file, by default traffic.yaml next to the SLO file if there is one.

    Raises errors.Invalid with line and field of every mistake.
    """
    beside = spec_file.with_name("traffic.yaml")
    if path is None and not beside.exists():
        return TrafficFile({})
    return document.read(path or beside, TrafficFile)


def suite(
    specs: Sequence[Spec], profile: Profile, pair: WindowPair, traffic: TrafficFile, rules: str, min_failures: int = 1
) -> Case:
    """Return the test file for one pair as data; `rules` is the rule file's path as seen from the test file.

    The file of the quickest pair also holds the tests that do not depend on a pair. Raises errors.Invalid for an SLO
    that `traffic` lacks.
    """
    step = pair.short / STEPS_PER_SHORT_WINDOW
    cases = []
    for spec in specs:
        for slo in spec.slos:
            series = traffic.of(spec, slo)
            play = PlayedTraffic(spec, slo, pair, step, series.good, series.bad)
            if not burn_alerts.is_disabled(slo, pair):
                cases += _of_pair(play, min_failures)
            if pair == profile.pairs[0]:
                cases += [_first_steps(play), _no_traffic(play, profile)]
        if pair == profile.pairs[0]:
            cases += [_target_absent(spec, job, profile, step) for job in spec.jobs]
    return {"rule_files": [rules], "evaluation_interval": format_window(step), "tests": cases}


def _of_pair(play: PlayedTraffic, min_failures: int) -> list[Case]:
    return [_outage(play), *_slow_traffic(play, min_failures), _traffic_ends(play)]


def _outage(play: PlayedTraffic) -> Case:
    """Return a test: health for the long window, errors until the pair fires and the short window is full, health.

    Halfway to the alert the service restarts: its counters are reset to zero, which must not move the alert.
    """
    start = play.long
    silent, fires = _fires(play)
    restart = max(1, fires // 2)
    end = start + max(play.short, fires) + 1
    late = burn_rate.reset(**_fault(play), short=play.pair.short)
    early = burn_rate.reset(**_fault(play), short=play.pair.short - play.step)
    still, clear = _steps_around(early, late, play.step)
    requests = _requests(play)
    bad = _bad(play)
    return play.case(
        f"{100 * bad / requests:g}% errors after {format_window(start * play.step)} of health, and a restart",
        [(start, requests, 0), (restart, requests - bad, bad)],
        [
            nothing_fires(play, start),
            pair_fires(play, start + silent, fires=False),
            pair_fires(play, start + fires, fires=True),
            pair_fires(play, end + still, fires=True),
            pair_fires(play, end + clear, fires=False),
        ],
        restarted=[(end - start - restart, requests - bad, bad), (play.short + 1, requests, 0)],
    )


def _slow_traffic(play: PlayedTraffic, min_failures: int) -> list[Case]:
    """Return tests with one failure among slightly more, and slightly fewer, requests than `fewest_requests`.

    The requests arrive within two short windows, so that the long window, which holds all of them, decides.
    """
    steps = 2 * play.short
    fewest = burn_rate.fewest_requests(play.pair.factor, play.slo.budget)
    cases = []
    for share, fires in ((1.1, False), (0.9, min_failures <= 1)):
        good = _round_dyadic(max(0.0, share * fewest - 1) / (steps + 1))
        cases.append(
            play.case(
                f"one failure among {share * fewest:.3g} requests {'fires' if fires else 'does not fire'}",
                [(steps, good, 0), (1, good, 1)],
                [nothing_fires(play, steps), pair_fires(play, steps + 1, fires=fires)],
            )
        )
    return cases


def _traffic_ends(play: PlayedTraffic) -> Case:
    """Return a test: a total outage, then no requests; another outage, then no target."""
    full = play.short
    return play.case(
        "an alert ends with the traffic, and with the target",
        [(full, 0, REQUESTS_PER_STEP), (full + 1, 0, 0), (full, 0, REQUESTS_PER_STEP)],
        [
            pair_fires(play, full, fires=True),
            pair_fires(play, 2 * full + 1, fires=False),
            pair_fires(play, 3 * full + 1, fires=True),
            pair_fires(play, 4 * full - 1, fires=True),  # the last step at which every version has two samples left
            pair_fires(play, 4 * full + 1, fires=False),
        ],
    )


def _first_steps(play: PlayedTraffic) -> Case:
    """Return a test in which half of the budgeted failures occur from the first request on."""
    requests = _requests(play)
    bad = round(requests * play.slo.budget / 2)
    carried = {name: value for name, value in play.spec.recorded_labels(play.slo).items() if value}
    remaining = f"max by ({', '.join(carried)}) ({selector('slo:period_error_budget_remaining:ratio', play)})"
    return play.case(
        "the remaining budget is right from the first minutes",
        [(STEPS_PER_SHORT_WINDOW, requests - bad, bad)],
        [
            nothing_fires(play, STEPS_PER_SHORT_WINDOW),
            {
                "expr": f"round({remaining}, 0.001)",
                "eval_time": format_window(STEPS_PER_SHORT_WINDOW * play.step),
                "exp_samples": [{"labels": burn_alerts.selector(carried), "value": 0.5}],
            },
        ],
    )


def _no_traffic(play: PlayedTraffic, profile: Profile) -> Case:
    """Return a test with a service that is up and receives no requests."""
    nothing = [
        {
            "expr": selector(burn_alerts.ratio_metric(window), play),
            "eval_time": format_window(STEPS_PER_SHORT_WINDOW * play.step),
            "exp_samples": [],
        }
        for window in (*profile.windows, profile.period)
    ]
    return play.case(
        "no traffic is no error, and no ratio either",
        [(STEPS_PER_SHORT_WINDOW, 0, 0)],
        [*nothing, nothing_fires(play, STEPS_PER_SHORT_WINDOW)],
    )


def _target_absent(spec: Spec, job: str, profile: Profile, step: float) -> Case:
    """Return a test with a target that is up, down for longer than the alert's `for`, up, and then removed."""
    rule = burn_alerts.target_absent(spec, job, profile)
    wait = round(profile.windows[0] / step)
    state = {"alertname": rule["alert"], "alertstate": "firing"}
    whole = {name: value for name, value in (state | rule["labels"]).items() if value}
    alert = [{"labels": burn_alerts.selector(whole), "value": 1}]
    fired = "ALERTS" + burn_alerts.selector(state | {"job": job, "sloth_service": spec.service})
    expr = f"max by ({', '.join(whole)}) ({fired})"
    down = 2 * wait  # steps of each phase: up, down, up
    expected: tuple[tuple[int, list[Case]], ...] = (
        (down, []),
        (down + wait, []),
        (down + 1 + wait, alert),
        (2 * down + 1, []),
        (3 * down + wait, []),
        (3 * down + 1 + wait, alert),
    )
    return {
        "name": f"{job}: a target that is down, or that is gone, fires TargetAbsent",
        "interval": format_window(step),
        "input_series": [
            {
                "series": f"up{burn_alerts.selector({'job': job})}",
                "values": f"1x{down} 0x{down - 1} 1x{down - 1} stale",
            }
        ],
        "promql_expr_test": [
            {"expr": expr, "eval_time": format_window(at * step), "exp_samples": alerts} for at, alerts in expected
        ],
    }


def _requests(play: PlayedTraffic) -> int:
    """Return the requests a step: enough for half the budget to be a whole number, and for MIN_BAD_PER_STEP."""
    requests = REQUESTS_PER_STEP
    while (
        requests * (100 - play.slo.objective) % 200 or requests * play.pair.factor * play.slo.budget < MIN_BAD_PER_STEP
    ):
        requests *= 10
    return requests


def _bad(play: PlayedTraffic) -> int:
    """Return the bad events a step: twice as many as fire the pair, so that detection takes half the long window."""
    requests = _requests(play)
    return min(requests, round(2 * play.pair.factor * play.slo.budget * requests))


def _fault(play: PlayedTraffic) -> dict[str, float]:
    return {"error_ratio": _bad(play) / _requests(play), "budget": play.slo.budget, "factor": play.pair.factor}


def _fires(play: PlayedTraffic) -> tuple[int, int]:
    early = burn_rate.detection(**_fault(play), long=play.pair.long - play.step)
    late = burn_rate.detection(**_fault(play), long=play.pair.long)
    return _steps_around(early, late, play.step)


def _steps_around(early: float, late: float, step: float) -> tuple[int, int]:
    """Return the last step surely before `early` and the first surely after `late` (seconds)."""
    before = round(early / step, 6)  # rounded, so that float errors do not move a time off the grid
    after = round(late / step, 6)
    return max(0, math.ceil(before) - 1), math.floor(after) + 1


def _round_dyadic(value: float) -> float:
    """Round to a multiple of 2⁻¹⁶, which floats add exactly: a slightly smaller sum would be a counter reset."""
    return round(value * 2**16) / 2**16
