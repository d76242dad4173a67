"""The panel of the timeline: lanes of faults and alerts, every event below, and the export of a debrief."""

import html
from collections.abc import Mapping
from datetime import UTC, datetime

from nicegui import ui

from chaosapi.console import debrief, export, timeline
from chaosapi.console.debrief import Debrief
from chaosapi.console.lanes import Lane, alert_lanes, fault_lanes
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.strips import legend, strip
from chaosapi.console.states import unix_time
from chaosapi.console.timeline import TimelineEntry

_SHOWN = 150
_UNKNOWN = "The timeline is unknown: see the top of the page."
_FORMATS = {"HTML": "html", "Text": "md", "JSON": "json"}


class TimelinePanel:
    """The lanes of the charts' time, the newest events, and buttons that export a debrief of all.

    Notifications are in the Alerts panel and in the export: here each would repeat the alert a second later.
    """

    def __init__(self, context: PageContext) -> None:
        self._context = context
        with ui.element("div").classes("flow"):
            ui.label("Debrief:").classes("small")
            for name, ending in _FORMATS.items():
                button = ui.button(name, icon="download", on_click=lambda _, ending=ending: self._save(ending))
                button.props("dense flat size=sm")
        self._lanes = ui.html("", sanitize=False).classes("full-width")
        Heading(3, "Events").classes("strong section")
        ui.label("Seconds count from the latest fault's start.").classes("small dim")
        self._list = ui.html("", sanitize=False).classes("full-width")

    def update(self) -> None:
        zone = self._context.zone
        self._show_lanes()
        entries = self._entries()
        rows = "".join(
            f'<tr><td class="num dim">{zone.bare_clock(each.at)}'
            f'<td class="num">{"" if each.since is None else f"+{each.since:.1f} s"}'
            f'<td class="{_tone(each)} wrap">{html.escape(each.text)}'
            for each in [entry for entry in entries if entry.event != "notified"][:_SHOWN]
        )
        nothing = "Nothing has happened yet." if self._context.service else _UNKNOWN
        self._list.set_content(f'<table class="plain small">{rows}</table>' if rows else nothing)

    def _show_lanes(self) -> None:
        context = self._context
        watch = context.sources.prometheus.answer
        curves = watch.curves.get(context.view) if watch else None
        if curves is None:
            self._lanes.set_content("")
            return
        start = curves.at - context.view.span
        alerting = context.sources.alertmanager.answer
        silences = [each for each in alerting.silences if unix_time(each["endsAt"]) > start] if alerting else []
        found = [
            *fault_lanes(curves.faults),
            *alert_lanes(curves.alerts, silences, context.sources.inhibitions.bands, context.view.step),
        ]
        key = legend("fault", "page", "firing", "pending", "silenced", "inhibited")
        ends = f"{context.zone.bare_clock(start)} to {context.zone.clock(curves.at)}"
        drawn = "".join(_lane(lane, start, curves.at) for lane in found) or "No fault acted, and no alert was pending."
        self._lanes.set_content(f'<div class="small dim num">{ends}</div>{key if found else ""}{drawn}')

    def _entries(self) -> list[TimelineEntry]:
        service = self._context.service
        alerting = self._context.sources.alertmanager.answer
        silences = alerting.silences if alerting else ()
        known = (service.faults, service.audit, service.delivered) if service else ((), (), ())
        return timeline.merge(*known, silences, self._context.sources.clock())

    async def _save(self, ending: str) -> None:
        context = self._context
        sources = context.sources
        made = sources.clock()
        faults = context.service.faults if context.service else ()
        targets = sources.prometheus.answer.facts.targets if sources.prometheus.answer else ()
        reports = await debrief.report(faults, context.forecasts, sources.metrics, sources.addresses.job, targets, made)
        written = Debrief(made, self._entries(), faults, reports)
        content = {"html": export.as_html, "md": export.as_text}
        text = content[ending](written, context.zone) if ending in content else export.as_json(written)
        ui.download.content(text, f"debrief-{datetime.fromtimestamp(made, UTC):%Y%m%d-%H%M%S}.{ending}")


def _lane(lane: Lane, start: float, end: float) -> str:
    return f'<div class="small">{html.escape(lane.name)}</div>{strip(lane.bands, start, end)}'


def _tone(entry: TimelineEntry) -> str:
    tones: Mapping[str, str] = {
        "begins": "fault",
        "ends": "fault",
        "fires": "bad" if entry.is_page else "warn",
        "resolves": "ok",
    }
    return "calm" if entry.kind == "silence" else tones.get(entry.event, "dim")
