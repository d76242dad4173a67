import numpy as np
import pytest
import yaml

from chaosapi import errors
from chaosapi.forecast import identity
from chaosapi.forecast.backtest import Recording, backtest, selectors
from chaosapi.forecast.comparison import Backtest
from chaosapi.forecast.monitoring import Monitoring
from chaosapi.forecast.promql import Times
from chaosapi.forecast.recording import RecordedSeries
from chaosapi.slo import spec, windows
from chaosapi.slo.spec import Objective, Spec

LAB = windows.load("lab")
SECONDS = np.arange(0, 1000, dtype=np.int64)
NEVER: Times = np.array([], dtype=np.int64)


def shop(error: str, total: str = "sum(rate(requests_total[{{.window}}]))") -> Spec:
    """Return a spec with one SLO of 99.9 %, whose pages have their own severity."""
    slo = {
        "name": "a",
        "objective": 99.9,
        "alerting": {"page_alert": {"labels": {"severity": "critical"}}},
        "sli": {"events": {"error_query": error, "total_query": total}},
    }
    return spec.parse(yaml.safe_dump({"version": "prometheus/v1", "service": "s", "slos": [slo]}), "slo.yaml")[0]


def objective(error: str) -> Objective:
    """Return an SLO."""
    return shop(error).slos[0]


SHOP = shop('sum(rate(requests_total{code="500"}[{{.window}}]))')


def series(values: object, **labels: str) -> RecordedSeries:
    """Return a series scraped every second, from half a second after the start."""
    return RecordedSeries(labels, SECONDS * 1000 + 500, np.asarray(values, dtype=np.float64))


def result(evaluated: Times = NEVER, *alerts: RecordedSeries, pending_for: float = 0.0) -> Backtest:
    """Backtest 100 requests/s of which 20 % fail from 600 s to 660 s."""
    failed = series(20.0 * np.clip(SECONDS - 600, 0, 60))
    recording = Recording([(1, failed)], [(1, series(100.0 * SECONDS))], evaluated, alerts)
    monitoring = Monitoring(scrape=1, evaluation=1, pending_for=pending_for)
    return backtest(SHOP, LAB, monitoring, {"a": recording}, (100.0, 900.0))


def seconds(found: Backtest, place: int = 0) -> list[float | None]:
    """Return the predicted start and end of an alert's only episode."""
    [episode] = found.alerts[place].episodes
    assert episode.predicted is not None
    return [each.timestamp() if each else None for each in (episode.predicted.firing, episode.predicted.resolved)]


def test_recorded_counters_fire_the_alerts() -> None:
    """Theory: 4.3 s after the first failure, 4.6 s after the last, plus a scrape and an evaluation."""
    found = result()
    assert seconds(found) == [606, 665]
    assert not found.alerts[0].compared
    assert [alert.long_window for alert in found.alerts] == ["1m", "6m", "24m", "1h12m"]


def test_for_delays_the_alert() -> None:
    """As with `--for`."""
    assert seconds(result(pending_for=10)) == [616, 665]


def test_rules_are_evaluated_at_prometheus_times() -> None:
    """At the same tenth of a second; the recorded alerts are shown next to it, with the difference."""
    evaluated = SECONDS * 1000 + 300
    labels = identity.alert_labels(SHOP, SHOP.slos[0], LAB.pairs[0]) | {"alertstate": "firing"}
    alerts = RecordedSeries(labels, np.arange(607_300, 666_301, 1000, dtype=np.int64), np.ones(60))
    quick = result(evaluated, alerts).alerts[0]
    assert quick.compared
    [episode] = quick.episodes
    assert episode.predicted is not None
    assert episode.predicted.firing.timestamp() == 606.3
    assert episode.firing_off == 1
    assert episode.recorded is not None


def test_rules_are_not_compared_before_prometheus_evaluated_them() -> None:
    """A Prometheus that started later cannot have fired."""
    assert result(SECONDS[700:] * 1000).alerts[0].episodes == []
    missed = result(SECONDS * 1000).alerts[0].episodes
    assert [each.recorded for each in missed] == [None]


def test_a_common_alert_of_all_pairs_is_not_compared() -> None:
    """Sloth's own rules do not tell which pair fired."""
    failed = series(20.0 * np.clip(SECONDS - 600, 0, 60))
    sloth = Recording([(1, failed)], [(1, series(100.0 * SECONDS))], SECONDS * 1000, [], has_pair_alerts=False)
    found = backtest(SHOP, LAB, Monitoring(scrape=1, evaluation=1), {"a": sloth}, (100.0, 900.0))
    assert not found.alerts[0].compared
    assert seconds(found) == [606, 665]


def test_the_selectors_of_the_queries_are_found() -> None:
    """With operators, escapes and any metric, without the window."""
    error, total = selectors(
        objective('sum(rate(all{a=~"b\\\\d", c!="d\\"e"}[{{.window}}])) - sum(rate(good[{{.window}}]))')
    )
    assert error == [(1, 'all{a=~"b\\\\d",c!="d\\"e"}'), (-1, "good{}")]
    assert total == [(1, "requests_total{}")]


@pytest.mark.parametrize(
    "query", ["max(rate(x[{{.window}}]))", "sum(rate(x[{{.window}}] offset 1m))", "sum(increase(x[{{.window}}]))"]
)
def test_unsupported_queries_are_refused(query: str) -> None:
    """The error names the SLO."""
    with pytest.raises(errors.Invalid, match=r"^a: its queries are not sums of rates"):
        selectors(objective(query))


def test_an_slo_without_requests_is_reported() -> None:
    """Its alerts could not fire."""
    empty = Recording([], [], NEVER, [])
    found = backtest(SHOP, LAB, Monitoring(scrape=1, evaluation=1), {"a": empty}, (0.0, 900.0))
    assert found.alerts == []
    assert found.missing == ["a: none of its requests is recorded"]
