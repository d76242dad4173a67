"""The panel of the timeline, with exports."""

import html
from datetime import UTC, datetime

from nicegui import ui

from chaosapi.console import export, timeline
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.timeline import TimelineEntry

_SHOWN = 150
_UNKNOWN = "The timeline is unknown: see the top of the page."
_TONES = {"fault": "fault", "alert": "bad", "silence": "calm", "change": "dim"}


class TimelinePanel:
    """The newest entries, and buttons that export all of them."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        with ui.element("div").classes("flow").style("margin-bottom:8px"):
            ui.label("Seconds count from the latest fault's start.").classes("small dim grow")
            ui.button("JSON", icon="download", on_click=lambda: self._save("json")).props("dense flat size=sm")
            ui.button("HTML", icon="download", on_click=lambda: self._save("html")).props("dense flat size=sm")
        self._list = ui.html("", sanitize=False)

    def update(self) -> None:
        entries = self._entries()
        rows = "".join(
            f'<tr><td class="num dim">{datetime.fromtimestamp(each.at, UTC):%H:%M:%S}'
            f'<td class="num">{"" if each.since is None else f"+{each.since:.1f} s"}'
            f'<td class="{_TONES[each.kind]} wrap">{html.escape(each.text)}'
            for each in entries[:_SHOWN]
        )
        nothing = "Nothing has happened yet." if self._context.service else _UNKNOWN
        self._list.set_content(f'<table class="plain small">{rows}</table>' if rows else nothing)

    def _entries(self) -> list[TimelineEntry]:
        service = self._context.service
        alerting = self._context.sources.alertmanager.answer
        silences = alerting.silences if alerting else ()
        known = (service.faults, service.audit, service.delivered) if service else ((), (), ())
        return timeline.merge(*known, silences, self._context.sources.clock())

    def _save(self, kind: str) -> None:
        made = self._context.sources.clock()
        faults = self._context.service.faults if self._context.service else ()
        write = export.as_json if kind == "json" else export.as_html
        name = f"timeline-{datetime.fromtimestamp(made, UTC):%Y%m%d-%H%M%S}.{kind}"
        ui.download.content(write(self._entries(), faults, made), name)
