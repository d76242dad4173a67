"""The status of a running lab: a live screen in a terminal, else one line for each change."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chaosapi.clients.errors import ClientError
from chaosapi.clients.exchange import ready
from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.lab.prometheus import rules, target_health
from chaosapi.lab.stack import Lab
from chaosapi.terminal import Terminal, styled
from chaosapi.text import escape_control

_T = TypeVar("_T")
_REFRESH_INTERVAL_S: Final = 1.0  # seconds between two readings


@dataclass(frozen=True)
class Status:
    """Targets that are up, rules that work, alerts and faults at one moment."""

    targets: str
    rules: str
    alerts: tuple[str, ...]
    faults: tuple[str, ...]

    def __str__(self) -> str:
        alerts, faults = (", ".join(names) or "none" for names in (self.alerts, self.faults))
        return f"targets {self.targets}; rules {self.rules}; alerts: {alerts}; faults: {faults}"


def read_status(lab: Lab) -> Status:
    """Query all parts; a part that does not answer is shown as such, since a fault may be the cause."""
    health = _ask(lambda: target_health(lab.prometheus).values())
    loaded = _ask(lambda: rules(lab.prometheus))
    alerts = _ask(lambda: sorted(_alert_line(alert["labels"], alert["state"]) for alert in lab.prometheus.alerts()))
    faults = _ask(
        lambda: [fault["name"] for fault in lab.admin.list_faults("active")["faults"]], ["the service does not answer"]
    )
    return Status(
        targets=f"{health.count('up')}/{len(health)} up",
        rules=f"{sum(rule.fine(lab.interval) for rule in loaded)}/{len(loaded)} fine",
        alerts=alerts,
        faults=faults,
    )


def label_links(links: Mapping[str, str], prometheus: PrometheusClient) -> dict[str, str]:
    """Return the links with a word about a Prometheus without web pages, such as Debian's."""
    label = "Prometheus" if prometheus.run(ready("/alerts")) else "Prometheus (HTTP API only)"
    return {label if name == "Prometheus" else name: link for name, link in links.items()}


def show_until_stopped(lab: Lab, console: Terminal) -> None:
    """Show the status until the lab is stopped; raises PartDiedError when a part ends by itself."""
    links = label_links(lab.links, lab.prometheus)
    if not console.is_terminal:
        for name, link in links.items():
            console.print(f"{name}: {link}", soft_wrap=True)
        seen = None
        while True:
            status = read_status(lab)
            if status != seen:
                console.print(f"{datetime.now(UTC):%H:%M:%S}Z {status}", soft_wrap=True)
                seen = status
            _check_and_sleep(lab)
    with Live(_screen(links, read_status(lab)), console=console, auto_refresh=False) as live:
        while True:
            live.update(_screen(links, read_status(lab)), refresh=True)
            _check_and_sleep(lab)


def _check_and_sleep(lab: Lab) -> None:
    lab.parts.check()
    time.sleep(_REFRESH_INTERVAL_S)


def _ask(question: Callable[[], Iterable[_T]], otherwise: Iterable[_T] = ()) -> tuple[_T, ...]:
    try:
        return tuple(question())
    except ClientError:
        return tuple(otherwise)


def _alert_line(labels: Mapping[str, str], state: str) -> str:
    words = (labels.get(label, "") for label in ("severity", "slo", "long_window"))
    return escape_control(" ".join(filter(None, (labels["alertname"], *words, state))))  # a label may hold line ends


def _screen(links: Mapping[str, str], status: Status) -> Group:
    table = Table.grid(padding=(0, 2))
    for name, link in links.items():
        table.add_row(Text(name, "bold"), Text(link, f"cyan link {link}"))
    table.add_row(Text("targets", "bold"), status.targets)
    table.add_row(Text("rules", "bold"), status.rules)
    table.add_row(
        Text("alerts", "bold"), styled("\n".join(status.alerts) or "none", "red" if status.alerts else "green")
    )
    table.add_row(
        Text("faults", "bold"), styled("\n".join(status.faults) or "none", "yellow" if status.faults else "green")
    )
    return Group(table, Text("Ctrl-C stops everything.", "dim"))
