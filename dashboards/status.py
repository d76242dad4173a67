"""What is wrong now, on top of every dashboard: whether the service is up, and which alerts fire."""

import runbooks
from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue
from panels import GREEN, ORANGE, RED, Panel, label, link, number, steps

from chaosapi.promql import Job, firing

PAGE = 'sloth_severity="page"'
_TICKET = 1
_PAGE = 2
_LABELS = ("alertname", "slo", "handler")


def status(service: Job) -> list[Panel]:
    """Return one line of panels."""
    return [_up(service).height(3).span(4), _alerts().height(3).span(20)]


def _up(service: Job) -> stat.Panel:
    """Return whether Prometheus can scrape none of the replicas, some (-1), or all of them, and without traffic (2)."""
    scraped = service.now("avg", "up")
    idle = f"({service.rate('http_requests_total')} == bool 0)"
    return number(
        "Service",
        "Whether Prometheus reaches the service now. Down: the last scrape failed, and no number below is about now. No"
        " traffic: nobody asks for anything, or requests do not arrive.",
        "none",
        f"{scraped} == 0 or ({scraped} == 1) + {idle} or {scraped} == 1 or -1 * ({scraped} > bool 0)",
        "Not scraped",
        words={0: ("Down", RED), 1: ("Up", GREEN), 2: ("Up, no traffic", ORANGE), -1: ("Partly down", ORANGE)},
    )


def _alerts() -> stat.Panel:
    """Return the names of the alerts that fire, pages first; a click on one leads to its runbook."""
    paging = firing(*_LABELS, "severity", where=PAGE)
    pages = f"{_PAGE} * {paging}"
    others = f"{_TICKET} * ({firing(*_LABELS, 'severity')} unless on ({', '.join(_LABELS)}) {paging})"
    panel = label(
        "Alerts that fire",
        "Every alert that fires now, whatever it is about: pages red, tickets orange. Click one for its runbook.",
        (f"{pages} or {others}", "{{alertname}} {{slo}} {{handler}} {{severity}}"),
        "No alert fires",
    ).thresholds(steps((None, GREEN), (_TICKET, ORANGE), (_PAGE, RED)))
    for alert in runbooks.ALERTS:
        leads = [link(f"Runbook of {alert}", runbooks.url(alert)).build()]
        panel.override_by_regexp(f"/^{alert}\\b/", [DynamicConfigValue(id_val="links", value=leads)])
    return panel
