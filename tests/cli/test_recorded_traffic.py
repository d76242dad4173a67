"""What commands read from a Prometheus."""

import pytest

from chaosapi import assets, errors
from chaosapi.cli import recorded_traffic
from chaosapi.cli.prometheus_reader import PrometheusReader
from chaosapi.slo import spec

SHOP = spec.load(assets.path("alerts") / "slo.yaml")


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (["1m", "6m", "24m", "1h12m"], "lab"),
        (["1h", "3d"], "production"),
        (["1h", "1m"], None),
        (["7m"], None),
        ([], None),
    ],
)
def test_the_profile_is_that_of_the_loaded_rules(
    windows: list[str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the service's own ones; unknown without rules, with those of several profiles, and without an answer."""
    rules = [{"alertname": "ErrorBudgetBurn", "service": "shop", "long_window": each} for each in windows]
    others = [{"alertname": "ErrorBudgetBurn", "service": "cart", "long_window": "1d"}, {"alertname": "Watchdog"}]
    reader = PrometheusReader("http://127.0.0.1:1")
    monkeypatch.setattr(PrometheusReader, "alerts", lambda _: rules + others)
    assert recorded_traffic.profile(reader, SHOP) == expected
    assert recorded_traffic.profile(None, SHOP) is None

    def silent(_: PrometheusReader) -> list[dict[str, str]]:
        raise errors.Invalid("no answer")

    monkeypatch.setattr(PrometheusReader, "alerts", silent)
    assert recorded_traffic.profile(reader, SHOP) is None
