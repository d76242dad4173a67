"""Alerts as they are now, silences, and what the webhook received."""

from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui

from chaosapi import assets, durations
from chaosapi.console.panels.keyed_list import KeyedList, set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import TONES
from chaosapi.console.states import (
    AlertState,
    current_states,
    describe_matchers,
    identity,
    other_labels,
    title,
    unix_time,
)

_LAST = 10
"""How many delivered alerts are shown."""
_MOST = 100
"""How many alerts are shown at once."""
_LONGEST = 1000
"""Characters of a text that are shown."""
_UNKNOWN = "is not known here: see the top of the page."


class AlertsPanel:
    """Pending, firing and muted alerts; below them silences and deliveries."""

    def __init__(self, desk: PageContext) -> None:
        self._desk = desk
        self._rows: KeyedList[AlertState] = KeyedList(lambda: _AlertRow(desk), "No alert is pending or firing.")
        self._more = ui.label().classes("small dim")
        ui.label("Silences").classes("strong").style("margin-top:12px")
        self._silences: KeyedList[Any] = KeyedList(lambda: _SilenceRow(desk), "None.")
        ui.label("Received by the webhook").classes("strong").style("margin-top:12px")
        self._delivered: KeyedList[Any] = KeyedList(_DeliveredRow, "Nothing yet.")

    def update(self) -> None:
        """Show them as they are now."""
        room = self._desk.room
        # What is old is no news of alerts: the other source then tells what it knows.
        watch = room.prometheus.answer if room.prometheus.state() == "up" else None
        alerting = room.alertmanager.answer if room.alertmanager.state() == "up" else None
        rules = [pair for standing in watch.standings for pair in standing.pairs] + list(watch.others) if watch else []
        shown = current_states((alert for pair in rules for alert in pair.alerts), alerting)
        unsure = None if watch and alerting else f"Whether an alert is pending or firing {_UNKNOWN}"
        self._rows.show({identity(each.labels): each for each in shown[:_MOST]}, unsure)
        self._more.set_text(f"{len(shown) - _MOST} more alerts are not shown." if len(shown) > _MOST else "")
        silences = alerting.silences if alerting else ()
        live = [each for each in silences if each["status"]["state"] != "expired"]
        self._silences.show(
            {each["id"]: each for each in live[:_MOST]}, None if alerting else f"What is silenced {_UNKNOWN}"
        )
        delivered = self._desk.service.delivered[:_LAST] if self._desk.service else ()
        self._delivered.show(
            {(each["fingerprint"], each["starts_at"]): each for each in delivered},
            None if self._desk.service else f"What was received {_UNKNOWN}",
        )


class _AlertRow:
    def __init__(self, desk: PageContext) -> None:
        self._desk = desk
        self._told: AlertState | None = None
        with ui.element("div").classes("item") as self.element:
            with ui.element("div").classes("flow"):
                self._state = ui.label().classes("chip")
                self._title = ui.label().classes("strong wrap")
                ui.element("div").classes("grow")
                self._since = ui.label().classes("small num")
            self._name = ui.label().classes("small dim wrap")
            self._summary = ui.label().classes("small wrap")
            with ui.element("div").classes("flow"):
                self._mute = ui.button("Silence…", icon="notifications_off", on_click=self._silence)
                self._mute.props("dense flat size=sm")
                self._book = ui.element("div")
                self._offered = ""

    def update(self, told: AlertState) -> None:
        self._told = told
        set_text(self._state, told.state, TONES[told.state])
        self._title.set_text(title(told.labels)[:_LONGEST])
        since = max(0.0, self._desk.room.clock() - unix_time(told.since)) if told.since else 0.0
        self._since.set_text(f"{told.since[11:19]} UTC, {durations.format(round(since))}" if told.since else "")
        muted = f" · by {', '.join(each[:8] for each in told.muted_by)}" if told.muted_by else ""
        self._name.set_text(other_labels(told.labels)[:_LONGEST] + muted)
        self._summary.set_text(told.annotations.get("summary", "")[:_LONGEST])
        self._mute.set_visibility(told.state != "silenced")
        self._offer(told.annotations.get("runbook_url", ""))

    def _offer(self, url: str) -> None:
        """Offer the runbook: one of ours opens here, any other is a link; what is neither is only told."""
        if url == self._offered:
            return
        self._offered = url
        self._book.clear()
        with self._book:
            if text := runbook(url):
                ui.button("Runbook", icon="menu_book", on_click=lambda: _read(text)).props("dense flat size=sm")
            elif url.lower().startswith(("http://", "https://")):
                ui.link("Runbook", url, new_tab=True).classes("small").props('rel="noopener noreferrer"')
            elif url:
                ui.label(f"runbook: {url[:_LONGEST]}").classes("small dim wrap")

    def _silence(self) -> None:
        if self._told is None:
            return
        labels = dict(self._told.labels)
        with ui.dialog(value=True) as dialog, ui.card().classes("dialog").style("width:460px"):
            ui.label(f"Silence {title(labels)}").classes("strong")
            comment = ui.input("Comment: why, and who looks after it").props("autofocus").classes("full-width")
            lasting = ui.input("For", value="30m").classes("full-width")

            async def silence() -> None:
                try:
                    seconds = durations.parse(lasting.value)
                except ValueError as error:
                    lasting.error = str(error)
                    return
                if not (comment.value or "").strip():
                    comment.error = "say why"
                    return
                act = self._desk.room.silencer.silence(
                    labels, comment.value or "", "console", datetime.now(UTC), timedelta(seconds=seconds)
                )
                if await self._desk.run_action(act, "Silenced."):
                    await self._desk.room.alertmanager.poll()
                    dialog.close()

            comment.on("keydown.enter", silence)
            with ui.element("div").classes("flow"):
                ui.button("Silence", on_click=silence)
                ui.button("Cancel", on_click=dialog.close).props("flat")
        dialog.on("hide", dialog.delete)


class _SilenceRow:
    def __init__(self, desk: PageContext) -> None:
        self._desk = desk
        self._number = ""
        with ui.element("div").classes("flow item") as self.element:
            self._text = ui.label().classes("small wrap grow")
            ui.button("End", on_click=self._end).props("dense flat size=sm")

    def update(self, silence: Any) -> None:
        self._number = silence["id"]
        what = describe_matchers(silence["matchers"])
        until = f"until {silence['endsAt'][11:19]} UTC"
        self._text.set_text(f"{what}: {silence['comment']} ({silence['createdBy']}, {until})"[:_LONGEST])

    async def _end(self) -> None:
        await self._desk.run_action(self._desk.room.silencer.end_silence(self._number), "The silence is ended.")
        await self._desk.room.alertmanager.poll()


class _DeliveredRow:
    def __init__(self) -> None:
        self.element = ui.label().classes("small num wrap")

    def update(self, alert: Any) -> None:
        delay = "" if alert["delay"] is None else f", told after {alert['delay']:.1f} s"
        over = "" if alert["resolved_delay"] is None else f", its end after {alert['resolved_delay']:.1f} s"
        text = f"{alert['starts_at'][11:19]} {title(alert['labels'])}: {alert['status']}{delay}{over}"
        set_text(self.element, text[:_LONGEST], TONES["firing"] if alert["status"] == "firing" else "dim")


def _read(text: str) -> None:
    """Open a runbook beside the panel."""
    with (
        ui.dialog(value=True).props("position=left seamless") as dialog,
        ui.card().classes("dialog").style("width:640px"),
    ):
        ui.markdown(text, extras=["tables", "fenced-code-blocks"]).classes("markdown full-width")
        ui.button("Close", on_click=dialog.close).props("flat")
    dialog.on("hide", dialog.delete)


def runbook(url: str) -> str | None:
    """Return the text of a runbook that came with chaosapi, None for one that is elsewhere."""
    if "://" in url and "/runbooks/" not in url:
        return None
    name = url.rpartition("/")[2].removesuffix(".md")
    try:
        # Only names that are there are opened: what an alert says never becomes a path.
        files = {file.stem: file for file in (assets.path("alerts") / "runbooks").glob("*.md")}
    except FileNotFoundError:
        return None
    return files[name].read_text(encoding="utf-8") if name in files else None
