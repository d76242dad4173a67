"""The status of a running lab: a live screen in a terminal, else a line for each change."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn, TypeVar

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chaosapi import overload
from chaosapi.clients.errors import ClientError
from chaosapi.lab import alertmanager, prometheus
from chaosapi.lab.alert_summaries import AlertSummary, fit, summarize_alerts
from chaosapi.lab.console import QUERY_PAGE
from chaosapi.lab.ports import url
from chaosapi.lab.stack import Lab
from chaosapi.overload import Signs
from chaosapi.terminal import Terminal, styled
from chaosapi.text import escape_control

_T = TypeVar("_T")
_REFRESH_INTERVAL_S: Final = 1.0  # seconds between two readings
_CLOCK_COLUMNS: Final = len("00:00:00Z ")
_MAX_ROWS: Final = 10
_API_ONLY: Final = " (no page, HTTP API only)"
TOO_BUSY: Final = "this machine is too busy, do not trust the numbers:"


@dataclass(frozen=True)
class Status:
    """Targets that are up, rules that work, alerts and faults at one moment; why the numbers are not to be trusted."""

    targets: str
    rules: str
    alerts: tuple[AlertSummary, ...]
    faults: tuple[str, ...]
    too_busy: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, before: "Status | None" = None, width: int = 80) -> list[str]:
        """Return what differs from the status before, or everything, in lines of at most `width` columns."""
        known = before.parts(width) if before else {}
        parts = [text for name, text in self.parts(width).items() if text != known.get(name)]
        line = "; ".join(parts)
        return [*([line] if line and len(line) <= width else parts), *self._busy_lines(before)]

    def parts(self, width: int) -> dict[str, str]:
        """Return the status as lines by their subject."""
        alerts = [(str(group), group.count) for group in self.alerts]
        faults = [(escape_control(name), 1) for name in self.faults]
        return {
            "health": f"targets {self.targets}; rules {self.rules}",
            "alerts": "alerts: " + fit(alerts, width - len("alerts: ")),
            "faults": "faults: " + fit(faults, width - len("faults: ")),
        }

    def _busy_lines(self, before: "Status | None") -> list[str]:
        was_busy = bool(before and before.too_busy)
        if self.too_busy and not was_busy:
            return [TOO_BUSY, *(f"  {reason}" for reason in self.too_busy)]
        return ["this machine is no longer too busy"] if was_busy and not self.too_busy else []


def read_status(lab: Lab) -> Status:
    """Query all parts; a part that does not answer is shown as such, since a fault may be the cause."""
    health = _ask(lambda: prometheus.target_health(lab.prometheus).values())
    loaded = _ask(lambda: prometheus.rules(lab.prometheus))
    faults = _ask(
        lambda: [fault["name"] for fault in lab.admin.list_faults("active")["faults"]], ["the service does not answer"]
    )
    return Status(
        targets=f"{health.count('up')}/{len(health)} up",
        rules=f"{sum(rule.fine(lab.interval) for rule in loaded)}/{len(loaded)} fine",
        alerts=_ask(lambda: summarize_alerts(lab.prometheus.alerts())),
        faults=faults,
        too_busy=reasons_not_to_trust(lab),
    )


def reasons_not_to_trust(lab: Lab) -> tuple[str, ...]:
    """Return why the machine is too busy for its numbers; empty if it keeps up, or if a fault slows it on purpose."""

    def read() -> list[str]:
        window = overload.window_s(lab.interval)
        if overload.is_slowed_on_purpose(lab.admin.list_faults()["faults"], time.time(), window):
            return []
        asked = overload.queries(lab.target.job, lab.interval)
        found = {name: lab.prometheus.value(query) for name, query in asked.items()}
        signs = Signs.from_results({name: value for name, value in found.items() if value is not None})
        return overload.reasons(signs, lab.interval)

    return _ask(read)


def label_links(links: Mapping[str, str], *, graph_page: str, alertmanager_page: bool) -> dict[str, str]:
    """Return the links to what works: some packages of Prometheus and Alertmanager have no pages, such as Debian's.

    `graph_page` is the path of Prometheus' page for queries, empty without one; then the console has one.
    """
    found = dict(links)
    found["Prometheus"] += graph_page
    if not graph_page:
        found = {name + _API_ONLY * (name == "Prometheus"): link for name, link in found.items()}
    if not alertmanager_page:
        found = {name + _API_ONLY * (name == "Alertmanager"): link for name, link in found.items()}
    if "console" in links and not graph_page:
        found = {"console": links["console"], "queries": links["console"] + QUERY_PAGE} | found
    return found


def show_until_stopped(lab: Lab, console: Terminal) -> None:
    """Show the status until the lab is stopped; raises PartDiedError when a part ends by itself."""
    links = label_links(
        lab.links,
        graph_page=prometheus.graph_page(lab.prometheus),
        alertmanager_page=alertmanager.has_page(url(lab.ports.alertmanager)),
    )
    if not console.is_terminal:
        _print_changes(lab, links, console)
    with Live(_screen(links, read_status(lab)), console=console, auto_refresh=False) as live:
        while True:
            live.update(_screen(links, read_status(lab)), refresh=True)
            _check_and_sleep(lab)


def _print_changes(lab: Lab, links: Mapping[str, str], console: Terminal) -> NoReturn:
    for name, link in links.items():
        console.print(f"{name}: {link}", soft_wrap=True)
    seen = None
    while True:
        status = read_status(lab)
        for line in status.lines(seen, console.width - _CLOCK_COLUMNS):
            console.print(f"{datetime.now(UTC):%H:%M:%S}Z {line}", soft_wrap=True)
        seen = status
        _check_and_sleep(lab)


def _check_and_sleep(lab: Lab) -> None:
    lab.parts.check()
    time.sleep(_REFRESH_INTERVAL_S)


def _ask(question: Callable[[], Iterable[_T]], otherwise: Iterable[_T] = ()) -> tuple[_T, ...]:
    try:
        return tuple(question())
    except ClientError:
        return tuple(otherwise)


def _screen(links: Mapping[str, str], status: Status) -> Group:
    table = Table.grid(padding=(0, 2))
    for name, link in links.items():
        table.add_row(Text(name, "bold"), Text(link, f"cyan link {link}"))
    table.add_row(Text("targets", "bold"), status.targets)
    table.add_row(Text("rules", "bold"), status.rules)
    alerts = _rows([(str(group), group.count) for group in status.alerts])
    table.add_row(Text("alerts", "bold"), styled(alerts, "red" if status.alerts else "green"))
    faults = _rows([(name, 1) for name in status.faults])
    table.add_row(Text("faults", "bold"), styled(faults, "yellow" if status.faults else "green"))
    busy = [styled("\n  ".join((TOO_BUSY, *status.too_busy)), "yellow")] if status.too_busy else []
    return Group(table, *busy, Text("Ctrl-C stops everything.", "dim"))


def _rows(items: Sequence[tuple[str, int]]) -> str:
    left = sum(count for _, count in items[_MAX_ROWS:])
    rows = [text for text, _ in items[:_MAX_ROWS]] + ([f"and {left} more"] if left else [])
    return "\n".join(rows) or "none"
