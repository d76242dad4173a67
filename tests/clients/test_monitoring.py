"""The clients of Prometheus and Alertmanager with the real programs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chaosapi.clients.alertmanager import AlertmanagerClient
from chaosapi.clients.errors import ClientError, RefusedError
from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.lab import alertmanager, ports, prometheus
from chaosapi.lab.processes import Programs
from tests.lab.conftest import free_ports

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def monitoring(
    tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PrometheusClient, AlertmanagerClient]]:
    """Yield clients of a Prometheus that scrapes itself and fires one alert, and of its Alertmanager."""
    folder = tmp_path_factory.mktemp("monitoring")
    to_prometheus, to_alertmanager = (ports.address(port) for port in free_ports()[:2])
    rules = "groups: [{name: g, rules: [{alert: Always, expr: up == 1}, {record: twice, expr: 2 * up}]}]"
    (folder / "rules.yml").write_text(rules)
    config = prometheus.config(
        target=prometheus.ScrapeTarget(to_prometheus),
        alertmanager=to_alertmanager,
        rules=folder / "rules.yml",
        interval=0.2,
    )
    (folder / "prometheus.yml").write_text(config)
    (folder / "alertmanager.yml").write_text("route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]")
    with (
        Programs(folder / "logs") as programs,
        PrometheusClient(f"http://{to_prometheus}") as first,
        AlertmanagerClient(f"http://{to_alertmanager}") as second,
    ):
        assert not second.is_ready()
        starts = {"prometheus": (prometheus, to_prometheus), "alertmanager": (alertmanager, to_alertmanager)}
        for name, (module, listen) in starts.items():
            config_file = folder / f"{name}.yml"
            data = folder / name
            programs.start(name, module.command(tools[name], config_file=config_file, data=data, listen=listen))
        programs.wait_until(first.is_ready, "Prometheus")
        programs.wait_until(second.is_ready, "Alertmanager")
        programs.wait_until(lambda: first.value("twice") == 2 and second.alerts() != [], "the alert")
        yield first, second


def test_prometheus_is_read(monitoring: tuple[PrometheusClient, AlertmanagerClient]) -> None:
    """Values, samples, rules, targets, alerts and labels."""
    source, _ = monitoring
    assert source.major_version() in {2, 3}
    assert source.value("no_such_series") is None
    times = [time for time, value in source.samples("up[5m]")[0] if value == 1]
    assert times == sorted(times)
    found = source.query_range("up", times[-1] - 1, times[-1], 0.5)
    assert found[0]["metric"]["job"] == "chaosapi"
    assert source.query("up", times[-1])[0]["value"] == [times[-1], "1"]
    assert [rule["name"] for rule in source.groups("alert")[0]["rules"]] == ["Always"]
    assert [rule["name"] for rule in source.groups()[0]["rules"]] == ["Always", "twice"]
    assert [target["health"] for target in source.targets()] == ["up"]
    assert [alert["labels"]["alertname"] for alert in source.alerts()] == ["Always"]
    assert source.label_values("job", "up") == ["chaosapi"]


def test_an_error_has_prometheus_message(monitoring: tuple[PrometheusClient, AlertmanagerClient]) -> None:
    """And its status."""
    with pytest.raises(RefusedError, match="parse error") as refused:
        monitoring[0].query("sum(")
    assert refused.value.status == 400


def test_an_alert_is_silenced_until_the_silence_ends(
    monitoring: tuple[PrometheusClient, AlertmanagerClient],
) -> None:
    """Alertmanager responds to the end with an empty body."""
    _, source = monitoring
    assert [alert["labels"]["alertname"] for alert in source.alerts()] == ["Always"]
    silence = source.silence({"alertname": "Always"}, "why", "a test", datetime.now(UTC), timedelta(minutes=5))
    assert [(each["id"], each["status"]["state"]) for each in source.silences()] == [(silence, "active")]
    source.end_silence(silence)
    assert [each["status"]["state"] for each in source.silences()] == ["expired"]
    with pytest.raises(ClientError) as failure:
        source.end_silence("00000000-0000-0000-0000-000000000000")
    assert failure.value.status == 404
