import numpy as np

from chaosapi.forecast import chart, timetable
from tests.forecast.conftest import Ask


def test_a_short_spike_is_visible(ask: Ask) -> None:
    """A spike of seconds above a threshold is drawn in a chart of eight hours, which has only some points."""
    second = {"effect": {"type": "error"}, "schedule": {"start_after": "61s", "duration": "1s"}}
    model = ask(second, horizon="8h")
    rates = model.burns(model.spec.slos[0])[model.profile.windows[0]].rate
    drawn = chart.figure(model, timetable.predict(model))
    line = next(each for each in drawn.data if each.name == "5s (1m/5s)")
    assert len(line.y) < len(rates) / 10
    assert np.nanmax(line.y) == np.nanmax(rates) > model.profile.pairs[0].factor
