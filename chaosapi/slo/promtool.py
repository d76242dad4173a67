"""Unit tests for the rules, in promtool's form: theory says when each pair fires and resets, promtool judges.

Everything happens on a grid of one step, which is scrape and evaluation interval at once. Each pair has a grid and a
file of its own, in proportion to its windows, since promtool's time grows with steps times samples. On the grid, theory
leaves one freedom: Prometheus 3 leaves out the sample at a window's left edge, so a window reaches one step less far
than in Prometheus 2. A pair is therefore tested at the last step at which neither version may fire, and at the first
at which both must; the two lie around the predicted time, at most three steps apart.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import RootModel

from chaosapi import errors
from chaosapi.slo import burn_alerts, burn_rate, document
from chaosapi.slo.document import FileModel
from chaosapi.slo.promtool_cases import Case, PlayedTraffic, nothing_fires, pair_fires, selector
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair, text

REQUESTS_PER_STEP = 100_000
"""The fewest requests a step in the tests' traffic."""

MIN_BAD_PER_STEP = 5
"""Bad events a step that are too few: rounded to a whole number, they would be another error ratio."""

STEPS_PER_SHORT_WINDOW = 5
"""Steps in the short window of the pair under test."""


class EventSeries(FileModel):
    """The series that one good and one bad event add to."""

    good: list[str]
    bad: list[str]


class TrafficFile(RootModel[dict[str, EventSeries]]):
    """The series of each SLO, by its name, or by service and name (`shop-availability`) where names repeat."""

    def of(self, spec: Spec, slo: Objective) -> EventSeries:
        """Return the series of an SLO; raises errors.Invalid when they are not there."""
        for name in (spec.identity_labels(slo)["sloth_id"], slo.name):
            if name in self.root:
                return self.root[name]
        raise errors.Invalid.field(slo.name, "the traffic file does not say what its good and bad events add to")


def load(path: Path) -> TrafficFile:
    """Read a traffic file; raises errors.Invalid with line and field of every mistake."""
    return document.read(path, TrafficFile)


def suite(
    specs: Sequence[Spec], profile: Profile, pair: WindowPair, traffic: TrafficFile, rules: str, min_failures: int = 1
) -> Case:
    """Return the test file for one pair as data; `rules` is the rule file's path as seen from the test file.

    What does not depend on a pair is tested beside the quickest. Raises errors.Invalid when `traffic` lacks an SLO.
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
                cases += [_first_steps(play, profile), _no_traffic(play, profile)]
        if pair == profile.pairs[0]:
            cases += [_target_absent(spec, job, profile, step) for job in spec.jobs]
    return {"rule_files": [rules], "evaluation_interval": text(step), "tests": cases}


def _of_pair(play: PlayedTraffic, min_failures: int) -> list[Case]:
    return [_outage(play), *_slow_traffic(play, min_failures), _traffic_ends(play)]


def _outage(play: PlayedTraffic) -> Case:
    """Health for the long window, errors until the pair has fired and the short window is full, health.

    Halfway to the alert the service restarts: its counters begin again at zero, which may change nothing.
    """
    start = play.long
    (silent, fires) = _fires(play)
    restart = max(1, fires // 2)
    end = start + max(play.short, fires) + 1
    late, early = (burn_rate.reset(**_fault(play), short=play.pair.short - missing) for missing in (0, play.step))
    still, clear = _steps_around(early, late, play.step)
    requests = _requests(play)
    bad = _bad(play)
    return play.case(
        f"{100 * bad / requests:g}% errors after {text(start * play.step)} of health, and a restart",
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
    """Play one failure among a few more, and a few less, than the fewest requests of which one may fail.

    They come within two short windows, so that the long one, which sees them all, decides.
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
    """Play an outage of everything, then no requests: first because nobody asks, then because the target is gone."""
    full = play.short
    return play.case(
        "an alert ends with the traffic, and with the target",
        [(full, 0, REQUESTS_PER_STEP), (full + 1, 0, 0), (full, 0, REQUESTS_PER_STEP)],
        [
            pair_fires(play, full, fires=True),
            pair_fires(play, 2 * full + 1, fires=False),
            pair_fires(play, 3 * full + 1, fires=True),
            pair_fires(play, 4 * full - 1, fires=True),  # the last step at which every Prometheus has two samples left
            pair_fires(play, 4 * full + 1, fires=False),
        ],
    )


def _first_steps(play: PlayedTraffic, profile: Profile) -> Case:
    """Half of what the budget allows goes wrong from the very first request on."""
    requests = _requests(play)
    bad = round(requests * play.slo.budget / 2)
    carried = play.spec.recorded_labels(play.slo) | {"sloth_window": text(profile.period)}
    remaining = selector("slo:period_error_budget_remaining:ratio", play)
    return play.case(
        "the remaining budget is right from the first minutes",
        [(STEPS_PER_SHORT_WINDOW, requests - bad, bad)],
        [
            nothing_fires(play, STEPS_PER_SHORT_WINDOW),
            {
                "expr": f"round({remaining}, 0.001)",
                "eval_time": text(STEPS_PER_SHORT_WINDOW * play.step),
                "exp_samples": [{"labels": burn_alerts.selector(carried), "value": 0.5}],
            },
        ],
    )


def _no_traffic(play: PlayedTraffic, profile: Profile) -> Case:
    """Play a service that is up while nobody asks."""
    nothing = [
        {
            "expr": selector(burn_alerts.ratio_metric(window), play),
            "eval_time": text(STEPS_PER_SHORT_WINDOW * play.step),
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
    """Up, down for longer than the alert waits, up, unknown from then on."""
    rule = burn_alerts.target_absent(spec, job, profile)
    patience = round(profile.windows[0] / step)
    alert = [{"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}]
    down = 2 * patience  # how long it is up, then down, then up
    expected: tuple[tuple[int, list[Case]], ...] = (
        (down, []),
        (down + patience, []),
        (down + 1 + patience, alert),
        (2 * down + 1, []),
        (3 * down + patience, []),
        (3 * down + 1 + patience, alert),
    )
    return {
        "name": f"{job}: a target that is down, or that is gone, is told",
        "interval": text(step),
        "input_series": [
            {
                "series": f"up{burn_alerts.selector({'job': job})}",
                "values": f"1x{down} 0x{down - 1} 1x{down - 1} stale",
            }
        ],
        "alert_rule_test": [
            {"eval_time": text(at * step), "alertname": rule["alert"], "exp_alerts": alerts} for at, alerts in expected
        ],
    }


def _requests(play: PlayedTraffic) -> int:
    """Return the requests a step: so many that half the budget is a whole number of them, and that `_bad` is many."""
    requests = REQUESTS_PER_STEP
    while (
        requests * (100 - play.slo.objective) % 200 or requests * play.pair.factor * play.slo.budget < MIN_BAD_PER_STEP
    ):
        requests *= 10
    return requests


def _bad(play: PlayedTraffic) -> int:
    """Return the bad events a step: twice what fires the pair, which takes half the long window and so tests theory."""
    requests = _requests(play)
    return min(requests, round(2 * play.pair.factor * play.slo.budget * requests))


def _fault(play: PlayedTraffic) -> dict[str, float]:
    return {"error_ratio": _bad(play) / _requests(play), "budget": play.slo.budget, "factor": play.pair.factor}


def _fires(play: PlayedTraffic) -> tuple[int, int]:
    early, late = (burn_rate.detection(**_fault(play), long=play.pair.long - missing) for missing in (play.step, 0))
    return _steps_around(early, late, play.step)


def _steps_around(early: float, late: float, step: float) -> tuple[int, int]:
    """Return the last step surely before `early` and the first surely after `late` (seconds)."""
    before, after = (round(time / step, 6) for time in (early, late))  # on the grid means on it, whatever floats say
    return max(0, math.ceil(before) - 1), math.floor(after) + 1


def _round_dyadic(value: float) -> float:
    """Round to a number whose multiples floats add without error: a sum that is a little less is a counter reset."""
    return round(value * 2**16) / 2**16
