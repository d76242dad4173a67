"""The runbooks of alerts/runbooks, as panels: the one place that a link in Grafana surely reaches."""

from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.models.text import TextMode

from chaosapi import assets

BOARD = "chaosapi-slo"
_FIRST = 1001  # past the ids of the other panels
_PAGES = sorted((assets.path("alerts") / "runbooks").glob("*.md"))
ALERTS = [path.stem for path in _PAGES]
"""The alerts that have a runbook."""


INDEX = f"/d/{BOARD}?viewPanel={_FIRST - 1}"
"""The path of the list of runbooks in Grafana."""


def panels() -> list[text.Panel]:
    """Return the list of runbooks, and a page for each alert."""
    contents = "\n".join(f"- [{alert}]({url(alert)})" for alert in ALERTS)
    return [
        _page("Runbooks", f"What to do about each alert:\n\n{contents}\n").id(_FIRST - 1).height(8),
        *(
            _page(path.stem, path.read_text(encoding="utf-8")).id(number)
            for number, path in enumerate(_PAGES, start=_FIRST)
        ),
    ]


def url(alert: str) -> str:
    """Return the path of an alert's runbook in Grafana; raises ValueError when it has none."""
    return f"/d/{BOARD}?viewPanel={_FIRST + ALERTS.index(alert)}"


def _page(title: str, markdown: str) -> text.Panel:
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown).height(20).span(24)
