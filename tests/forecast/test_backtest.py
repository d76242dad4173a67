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
    """Make a spec with one SLO of 99.9 %, whose pages have a severity of their own."""
    slo = {
        "name": "a",
        "objective": 99.9,
        "alerting": {"page_alert": {"labels": {"severity": "critical"}}},
        "sli": {"events": {"error_query": error, "total_query": total}},
    }
    return spec.parse(yaml.safe_dump({"version": "prometheus/v1", "service": "s", "slos": [slo]}), "slo.yaml")[0]


def objective(error: str) -> Objective:
    """Make an SLO."""
    return shop(error).slos[0]


SHOP = shop('sum(rate(requests_total{code="500"}[{{.window}}]))')


def series(values: object, **labels: str) -> RecordedSeries:
    """Make a series scraped every second, half a second after it began."""
    return RecordedSeries(labels, SECONDS * 1000 + 500, np.asarray(values, dtype=np.float64))


def result(evaluated: Times = NEVER, *alerts: RecordedSeries, pending_for: float = 0.0) -> Backtest:
    """Test 100 requests/s of which 20 % fail from 600 s to 660 s."""
    failed = series(20.0 * np.clip(SECONDS - 600, 0, 60))
    recording = Recording([(1, failed)], [(1, series(100.0 * SECONDS))], evaluated, alerts)
    monitoring = Monitoring(scrape=1, evaluation=1, pending_for=pending_for)
    return backtest(SHOP, LAB, monitoring, {"a": recording}, (100.0, 900.0))


def seconds(found: Backtest, place: int = 0) -> list[float | None]:
    """Return firing and resolved of an alert's only episode, predicted."""
    [episode] = found.alerts[place].episodes
    assert episode.predicted is not None
    return [each.timestamp() if each else None for each in (episode.predicted.firing, episode.predicted.resolved)]


def test_recorded_counters_fire_the_alerts() -> None:
    """Theory: 4.3 s after the first failure, 4.6 s after the last, plus a scrape and an evaluation."""
    found = result()
    assert seconds(found) == [606, 665]
    assert not found.alerts[0].compared
    assert [alert.long_window for alert in found.alerts] == ["1m", "6m", "24m", "1h12m"]


def test_for_holds_it_back() -> None:
    """As `--for` does."""
    assert seconds(result(pending_for=10)) == [616, 665]


def test_rules_are_evaluated_when_prometheus_did() -> None:
    """At its tenth of a second; and what it recorded itself lies beside it, with the difference."""
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


def test_nothing_is_held_against_rules_that_were_not_evaluated() -> None:
    """A Prometheus that came later cannot have fired."""
    assert result(SECONDS[700:] * 1000).alerts[0].episodes == []
    missed = result(SECONDS * 1000).alerts[0].episodes
    assert [each.recorded for each in missed] == [None]


def test_one_alert_for_all_pairs_is_compared_with_none_of_them() -> None:
    """Sloth's own rules cannot tell which pair fired."""
    failed = series(20.0 * np.clip(SECONDS - 600, 0, 60))
    sloth = Recording([(1, failed)], [(1, series(100.0 * SECONDS))], SECONDS * 1000, [], has_pair_alerts=False)
    found = backtest(SHOP, LAB, Monitoring(scrape=1, evaluation=1), {"a": sloth}, (100.0, 900.0))
    assert not found.alerts[0].compared
    assert seconds(found) == [606, 665]


def test_selectors_are_what_the_queries_read() -> None:
    """With signs, escapes and any metric; the window is left out."""
    error, total = selectors(
        objective('sum(rate(all{a=~"b\\\\d", c!="d\\"e"}[{{.window}}])) - sum(rate(good[{{.window}}]))')
    )
    assert error == [(1, 'all{a=~"b\\\\d",c!="d\\"e"}'), (-1, "good{}")]
    assert total == [(1, "requests_total{}")]


@pytest.mark.parametrize(
    "query", ["max(rate(x[{{.window}}]))", "sum(rate(x[{{.window}}] offset 1m))", "sum(increase(x[{{.window}}]))"]
)
def test_other_queries_are_refused(query: str) -> None:
    """Their SLO is named."""
    with pytest.raises(errors.Invalid, match=r"^a: its queries are not sums of rates"):
        selectors(objective(query))


def test_an_slo_without_requests_is_told() -> None:
    """Instead of alerts that could not fire."""
    empty = Recording([], [], NEVER, [])
    found = backtest(SHOP, LAB, Monitoring(scrape=1, evaluation=1), {"a": empty}, (0.0, 900.0))
    assert found.alerts == []
    assert found.missing == ["a: none of its requests is recorded"]
