"""The earliest and latest time that chance allows for an alert, and the detection time of an ideal monitor."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from functools import cached_property
from operator import itemgetter

from chaosapi.forecast import episodes, timetable
from chaosapi.forecast.burn import BurnRates
from chaosapi.forecast.model import ForecastModel, expression_holds
from chaosapi.forecast.result import ForecastAlert

_IDEAL_SCRAPES_PER_STEP = 10
"""An ideal monitor scrapes ten times per step of the profile: fifty times in the shortest window."""

Span = tuple[float, float]
"""Start and end of the time during which an alert fires."""


class Bounds:
    """The bounds of one alert of a model; all times in the model's seconds."""

    def __init__(self, model: ForecastModel, alert: ForecastAlert) -> None:
        self._model = model
        self._slo = next(slo for slo in model.spec.slos if slo.name == alert.slo)
        self._pair = model.profile.pair(f"{alert.long_window}/{alert.short_window}")

    def firing_range(self, moment: float) -> tuple[float | None, float | None]:
        """Return the earliest and latest time at which chance lets an alert begin to fire that fires at `moment`.

        As in `result.FiringRange`: two standard deviations, minus one evaluation and plus one scrape. None: chance may
        keep the alert from firing at all.
        """
        watching = self._model.monitoring
        early = _find_span(self._early, moment, watching.evaluation)
        expected = _find_span(self._expected, moment)
        late = bisect_left(self._late, moment, key=itemgetter(0))
        over_by = expected[1] if expected else moment
        in_time = late < len(self._late) and self._late[late][0] < over_by
        return (
            early[0] - watching.evaluation if early else None,
            self._late[late][0] + watching.scrape if in_time else None,
        )

    def ideal_detection(self, moment: float) -> float | None:
        """Return when the condition of an alert that fires at `moment` begins to hold under an ideal monitor."""
        place = bisect_right(self._ideal, moment, key=itemgetter(0))
        return self._ideal[max(0, place - 1)][0] if self._ideal else None

    @cached_property
    def _burns(self) -> dict[float, BurnRates]:
        return self._model.burns(self._slo)

    @cached_property
    def _expected(self) -> list[Span]:
        return self._spans(self._model, self._burns)

    @cached_property
    def _early(self) -> list[Span]:
        return self._spans(self._model, self._burns, timetable.LIKELY_DEVIATIONS)

    @cached_property
    def _late(self) -> list[Span]:
        return self._spans(self._model, self._burns, -timetable.LIKELY_DEVIATIONS)

    @cached_property
    def _ideal(self) -> list[Span]:
        step = round(1000 * self._model.profile.step / _IDEAL_SCRAPES_PER_STEP) / 1000
        continuous = {"scrape": step, "evaluation": step, "pending_for": 0.0}
        model = replace(self._model, monitoring=self._model.monitoring.model_copy(update=continuous))
        return self._spans(model, model.burns(self._slo))

    def _spans(self, model: ForecastModel, burns: dict[float, BurnRates], deviations: float = 0.0) -> list[Span]:
        watching = model.monitoring
        holds = expression_holds(burns, self._pair, watching.min_failures, deviations)
        return [
            (each.firing / 1000, math.inf if each.resolved is None else each.resolved / 1000)
            for each in episodes.find_episodes(holds, model.evaluations, round(1000 * watching.pending_for))
            if each.firing is not None
        ]


def _find_span(spans: list[Span], moment: float, early: float = 0.0) -> Span | None:
    """Return the span, of spans in order, that contains the moment or begins at most `early` seconds after it."""
    place = bisect_right(spans, moment, key=lambda span: span[0] - early)
    return spans[place - 1] if place and moment < spans[place - 1][1] else None
