import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosapi import assets
from chaosapi.slo import burn_alerts, spec, windows
from tests.alerts.delivery import Alerting, Labels, alerting, eventually, receiving

ALERTS = assets.path("alerts")
CONFIG = ALERTS / "alertmanager.yml"
EXAMPLE = ALERTS / "alertmanager-receivers.example.yml"
CHECKED_IN = yaml.safe_load(CONFIG.read_text())

ROUTES = [  # labels, and who is told by the example; alertmanager.yml tells the service alone
    (["team=shop", "severity=page", "slo=latency"], "chaosapi,shop-pager"),
    (["team=shop", "severity=page"], "chaosapi,shop-pager"),
    (["team=shop", "severity=ticket", "slo=latency"], "chaosapi,shop-chat"),
    (["team=shop", "severity=info"], "chaosapi,shop-chat"),
    (["team=shop", "severity=critical", "sloth_severity=page"], "chaosapi,shop-pager"),
    (["team=shop", "severity=page", "sloth_severity=ticket"], "chaosapi,shop-chat"),
    (["team=cart", "severity=page"], "chaosapi,mail"),
    (["alertname=Watchdog"], "chaosapi,mail"),
]


def _of(service: str, severity: str, slo: str = "", **other: str) -> Labels:
    every = {"alertname": "ErrorBudgetBurn", "service": service, "team": "shop", "severity": severity, "slo": slo}
    return {name: value for name, value in (every | other).items() if value}


@pytest.mark.parametrize("path", [CONFIG, EXAMPLE], ids=lambda path: path.name)
def test_amtool_accepts_the_configuration(path: Path, programs: dict[str, Path]) -> None:
    """With its inhibitions, whether the files with secrets exist or not."""
    result = subprocess.run([programs["amtool"], "check-config", path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "2 inhibit rules" in result.stdout


@pytest.mark.parametrize(("labels", "receivers"), ROUTES, ids=lambda value: " ".join(value) if value else None)
def test_every_alert_reaches_the_service_and_its_receivers(
    labels: list[str], receivers: str, programs: dict[str, Path]
) -> None:
    """Pages, tickets and others; in the example also the team's pager, chat or mail."""
    for path, expected in ((CONFIG, "chaosapi"), (EXAMPLE, receivers)):
        options = [f"--config.file={path}", f"--verify.receivers={expected}"]
        command: list[str | Path] = [programs["amtool"], "config", "routes", "test", *options, *labels]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_the_example_groups_and_inhibits_alike() -> None:
    """It differs in the receivers only."""
    example = yaml.safe_load(EXAMPLE.read_text())
    assert example["inhibit_rules"] == CHECKED_IN["inhibit_rules"]
    for setting in ("group_by", "group_wait", "group_interval", "repeat_interval"):
        assert example["route"][setting] == CHECKED_IN["route"][setting]


def _hurried(path: Path, wait: str = "500ms") -> dict[str, Any]:
    """Read a configuration and shorten its waits."""
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    config["route"] |= {"group_wait": wait, "group_interval": "1s"}
    return config


@pytest.fixture(scope="module")
def running(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerting]:
    """Run the checked-in configuration with shorter waits."""
    config = _hurried(CONFIG)
    with receiving() as receiver:
        config["receivers"][0]["webhook_configs"][0]["url"] = f"{receiver.url}/service"
        with alerting(programs["alertmanager"], config, receiver, tmp_path_factory.mktemp("alertmanager")) as started:
            yield started


def test_a_page_inhibits_only_the_tickets_of_its_slo(running: Alerting) -> None:
    """Other SLOs, services and pages are notified; so is every ticket while the target is down."""
    silenced = [_of("a", "ticket", "latency", long_window=window) for window in ("1d", "3d")]
    silenced.append(_of("a", "ticket", "latency", alertname="HighLatency"))
    heard = [
        *(_of("a", "page", "latency", long_window=window) for window in ("1h", "6h")),
        _of("a", "ticket", "availability"),
        _of("a", "ticket", alertname="CapacityExhausted"),
        _of("a", "page", alertname="TargetAbsent"),
        _of("b", "ticket", "latency"),
    ]
    running.send(*silenced, *heard)

    def told() -> list[Labels]:
        found = [*running.receiver.at("/service", "a"), *running.receiver.at("/service", "b")]
        return [alert["labels"] for notification in found for alert in notification["alerts"]]

    eventually(lambda: len(told()) >= len(heard))
    assert _sorted(running.inhibited()) == _sorted(silenced)
    assert _sorted(told()) == _sorted(heard)

    running.send(*heard[:2], over=True)
    eventually(lambda: all(labels in told() for labels in silenced))  # they still fire, and nobody is paged any more


OVERRIDDEN = {
    "critical": ({"severity": "critical"}, {"severity": "warning"}),
    "swapped": ({"severity": "ticket"}, {"severity": "page"}),
    "same": ({"severity": "page", "slo": "all", "service": "all"}, {"severity": "page", "slo": "all"}),
    "empty": ({"severity": "", "slo": ""}, {"severity": "", "service": ""}),
    "fixed": ({"sloth_severity": "critical", "alertname": "x"}, {"sloth_severity": "warning", "sloth_id": "x"}),
}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_a_page_inhibits_its_tickets_whatever_the_file_calls_them(running: Alerting, name: str) -> None:
    """The labels are those of the rules that are generated from the file."""
    page, ticket = OVERRIDDEN[name]
    settings = {"page_alert": {"labels": page}, "ticket_alert": {"labels": ticket}, "labels": {"case": name}}
    sli = {"events": dict.fromkeys(("error_query", "total_query"), "sum(rate(x[{{.window}}]))")}
    slos = [{"name": each, "objective": 99.9, "sli": sli, "alerting": settings} for each in ("one", "two")]
    file = yaml.safe_dump({"version": "prometheus/v1", "service": name, "slos": slos})
    (parsed,) = spec.parse(file, "slo.yml")
    alerts = {
        (slo.name, pair.severity): {
            label: value
            for label, value in (
                parsed.recorded_labels(slo) | burn_alerts.labels(parsed, slo, pair) | {"alertname": slo.alerting.name}
            ).items()
            if value
        }
        for slo in parsed.slos
        for pair in windows.load("lab").pairs[1:3]
    }
    assert len(alerts) == 4
    heard = [alerts["one", "page"], alerts["two", "ticket"]]
    running.send(alerts["one", "page"], alerts["one", "ticket"], alerts["two", "ticket"])

    def notified() -> list[Labels]:
        labels = [alert["labels"] for found in running.receiver.at("/service") for alert in found["alerts"]]
        return [each for each in labels if each.get("case") == name]

    eventually(lambda: len(notified()) >= len(heard))
    assert [each for each in running.inhibited() if each.get("case") == name] == [alerts["one", "ticket"]]
    assert _sorted(notified()) == _sorted(heard)


def test_a_burst_of_alerts_is_one_notification_and_one_resolution(running: Alerting) -> None:
    """Twelve instances lose their store at once: one message names all of them, and all of them when it is over."""
    burst = [_of("c", "ticket", alertname="StoreDown", instance=f"shop-{n}") for n in range(12)]
    running.send(*burst)
    first = eventually(lambda: running.receiver.at("/service", "c"))[0]
    assert (first["status"], first["groupLabels"]["alertname"]) == ("firing", "StoreDown")
    assert _sorted([alert["labels"] for alert in first["alerts"]]) == _sorted(burst)
    assert len(running.receiver.at("/service", "c")) == 1
    running.send(*burst, over=True)

    def last() -> dict[str, Any]:
        return running.receiver.at("/service", "c")[-1]

    eventually(lambda: last()["status"] == "resolved")
    assert {alert["status"] for alert in last()["alerts"]} == {"resolved"}


@pytest.mark.parametrize("night", [True, False], ids=["night", "day"])
def test_the_example_notifies_by_pager_and_chat_and_tickets_by_day(
    night: bool,  # noqa: FBT001 - which half of a pair
    programs: dict[str, Path],
    tmp_path: Path,
) -> None:
    """PagerDuty and Slack get texts and links; by night a ticket is for the service alone, a page is for the pager."""
    with receiving() as receiver:
        config = _for_receiver(_hurried(EXAMPLE, "0s"), receiver.url, tmp_path, night=night)
        with alerting(programs["alertmanager"], config, receiver, tmp_path) as started:
            started.send(_of("shop", "ticket", "latency"))
            eventually(lambda: receiver.at("/service"))
            started.send(_of("shop", "page", "availability"))
            (page,) = eventually(lambda: receiver.at("/pager"))
            if not night:
                (ticket,) = eventually(lambda: receiver.at("/chat"))
                attachment = ticket["attachments"][0]
                assert (attachment["title"], attachment["text"].strip()) == ("FIRING: it burns", "fast")
                links = {action["text"]: action["url"] for action in attachment["actions"]}
                assert links["Dashboard"] == "https://grafana.example.com/d/x"
                assert links["Runbook"].endswith("/a/b.md")
            assert night == (not receiver.at("/chat"))
            assert (page["routing_key"], page["payload"]["summary"]) == ("secret", "it burns")
            assert (page["payload"]["component"], page["payload"]["custom_details"]["alerts"].strip()) == (
                "availability",
                "fast",
            )
            assert [link["href"] for link in page["links"]][-1] == "https://grafana.example.com/d/x"


def _for_receiver(config: dict[str, Any], url: str, folder: Path, *, night: bool) -> dict[str, Any]:
    """Route all alerts to one receiver, and set the mute interval to always or never."""
    secrets = {"chat": f"{url}/chat", "pager": "secret", "password": "secret"}
    for name, secret in secrets.items():
        (folder / name).write_text(secret)
    config["global"]["smtp_auth_password_file"] = str(folder / "password")
    receivers = {each["name"]: each for each in config["receivers"]}
    receivers["chaosapi"]["webhook_configs"][0]["url"] = f"{url}/service"
    receivers["shop-chat"]["slack_configs"][0]["api_url_file"] = str(folder / "chat")
    receivers["shop-pager"]["pagerduty_configs"][0] |= {
        "routing_key_file": str(folder / "pager"),
        "url": f"{url}/pager",
    }
    all_day = {"times": [{"start_time": "00:00", "end_time": "24:00"}]}
    long_ago = {"years": ["2001"]}
    for interval in config["time_intervals"]:
        interval["time_intervals"] = [all_day if night else long_ago]
    return config


def _sorted(alerts: list[Labels]) -> list[Labels]:
    return sorted(alerts, key=lambda labels: sorted(labels.items()))
