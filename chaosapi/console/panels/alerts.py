"""The panel of present alerts, silences, and alerts that the webhook received."""

from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui

from chaosapi import assets, durations
from chaosapi.alert_labels import severity
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.keyed_list import KeyedList, set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.situation import severity_and_state, tone
from chaosapi.console.panels.theme import BAD, TONES, WARN
from chaosapi.console.situation import AlertGroup, group_alerts
from chaosapi.console.states import (
    AlertState,
    describe_matchers,
    distinguishing_labels,
    identity,
    is_page,
    title,
    unix_time,
    windows,
)

_MAX_DELIVERED = 10
_MAX_ROWS = 100
"""How many alerts, and how many silences, are shown."""
_MAX_CHARACTERS = 1000
_UNKNOWN = "is unknown: see the top of the page."


class AlertsPanel:
    """Pending, firing and muted alerts, a card for each SLO or cause; below them silences and deliveries."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._groups: KeyedList[AlertGroup] = KeyedList(lambda: _GroupCard(context), "No alert is pending or firing.")
        self._more = ui.label().classes("small dim")
        Heading(3, "Silences").classes("strong section")
        self._silences: KeyedList[Any] = KeyedList(lambda: _SilenceRow(context), "None.")
        Heading(3, "Received by the webhook").classes("strong section")
        self._delivered: KeyedList[Any] = KeyedList(lambda: _DeliveredRow(context), "Nothing yet.")

    def update(self) -> None:
        # A source that is not up has old data: then the other source alone is shown.
        watch = self._context.watch
        alerting = self._context.alerting
        shown = self._context.alerts
        unsure = None if watch and alerting else f"Whether an alert is pending or firing {_UNKNOWN}"
        groups = group_alerts(shown[:_MAX_ROWS], watch.facts.targets if watch else ())
        self._groups.show({each.key: each for each in groups}, unsure)
        self._more.set_text(f"{len(shown) - _MAX_ROWS} more alerts are not shown." if len(shown) > _MAX_ROWS else "")
        silences = alerting.silences if alerting else ()
        live = [each for each in silences if each["status"]["state"] != "expired"]
        self._silences.show(
            {each["id"]: each for each in live[:_MAX_ROWS]}, None if alerting else f"What is silenced {_UNKNOWN}"
        )
        delivered = self._context.service.delivered[:_MAX_DELIVERED] if self._context.service else ()
        self._delivered.show(
            {(each["fingerprint"], each["starts_at"]): each for each in delivered},
            None if self._context.service else f"What was received {_UNKNOWN}",
        )


class _GroupCard:
    """The alerts of one SLO, or of one cause: what they have in common above, a line for each below."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._group: AlertGroup | None = None
        with ui.element("div").classes("item") as self.element:
            with ui.element("div").classes("flow"):
                self._state = ui.label().classes("chip")
                self._name = Heading(3).classes("strong wrap")
                self._route = ui.label().classes("small wrap")
                ui.element("div").classes("grow")
                self._since = ui.label().classes("small num")
            self._summary = ui.label().classes("small wrap")
            self._rows: KeyedList[AlertState] = KeyedList(lambda: _AlertRow(context), "")
            with ui.element("div").classes("flow"):
                self._silence_button = ui.button("Silence…", icon="notifications_off", on_click=self._silence)
                self._silence_button.props("dense flat size=sm")
                self._runbook = ui.element("div")
                self._runbook_url = ""

    def update(self, group: AlertGroup) -> None:
        self._group = group
        set_text(self._state, severity_and_state(group), tone(group))
        self._name.set_text(group.name[:_MAX_CHARACTERS])
        self._route.set_text(group.route[:_MAX_CHARACTERS])
        self._since.set_text(describe_age(self._context, group.since))
        first = group.alerts[0]
        self._summary.set_text(first.annotations.get("summary", "")[:_MAX_CHARACTERS])
        self._rows.show({identity(each.labels): each for each in group.alerts})
        self._silence_button.set_visibility(any(each.state != "silenced" for each in group.alerts))
        self._show_runbook(first.annotations.get("runbook_url", ""))

    def _show_runbook(self, url: str) -> None:
        """Show the runbook: chaosapi's own opens in a dialog, another URL is a link, anything else is plain text."""
        if url == self._runbook_url:
            return
        self._runbook_url = url
        self._runbook.clear()
        with self._runbook:
            if text := runbook(url):
                ui.button("Runbook", icon="menu_book", on_click=lambda: _open_runbook(text)).props("dense flat size=sm")
            elif url.lower().startswith(("http://", "https://")):
                ui.link("Runbook", url, new_tab=True).classes("small").props('rel="noopener noreferrer"')
            elif url:
                ui.label(f"runbook: {url[:_MAX_CHARACTERS]}").classes("small dim wrap")

    def _silence(self) -> None:
        if self._group is None:
            return
        labels = self._group.silenced_labels
        with ui.dialog(value=True) as dialog, ui.card().classes("dialog").style("width:460px"):
            Heading(2, f"Silence {self._group.name}").classes("strong")
            matched = " ".join(f"{name}={value}" for name, value in labels.items())
            ui.label(f"All alerts with {matched}"[:_MAX_CHARACTERS]).classes("small dim wrap")
            comment = ui.input("Comment: why, and who looks after it").props("autofocus").classes("full-width")
            lasting = ui.input("For", value="30m").classes("full-width")

            async def silence() -> None:
                try:
                    seconds = durations.parse(lasting.value)
                except ValueError as error:
                    lasting.error = str(error)
                    return
                if not (comment.value or "").strip():
                    comment.error = "a comment is required"
                    return
                act = self._context.sources.silencer.silence(
                    labels, comment.value or "", "console", datetime.now(UTC), timedelta(seconds=seconds)
                )
                if await self._context.run_action(act, "Silenced."):
                    await self._context.sources.alertmanager.poll()
                    dialog.close()

            comment.on("keydown.enter", silence)
            with ui.element("div").classes("flow"):
                ui.button("Silence", on_click=silence)
                ui.button("Cancel", on_click=dialog.close).props("flat")
        dialog.on("hide", dialog.delete)


class _AlertRow:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        with ui.element("div") as self.element:
            with ui.element("div").classes("flow small num"):
                self._title = ui.label().classes("wrap")
                ui.element("div").classes("grow")
                self._since = ui.label().classes("dim")
                self._state = ui.label().classes("chip")
            self._labels = ui.label().classes("small dim wrap")

    def update(self, alert: AlertState) -> None:
        words = (severity(alert.labels), windows(alert.labels) or alert.labels.get("alertname", ""))
        self._title.set_text(" ".join(filter(None, words))[:_MAX_CHARACTERS])
        self._since.set_text(describe_age(self._context, alert.since))
        is_loud = alert.state != "firing" or is_page(alert.labels)
        set_text(self._state, alert.state, TONES[alert.state] if is_loud else WARN)
        muted = f" muted by {', '.join(alert.muted_by)}" if alert.muted_by else ""
        text = (distinguishing_labels(alert.labels) + muted).strip()[:_MAX_CHARACTERS]
        self._labels.set_text(text)
        self._labels.set_visibility(bool(text))


class _SilenceRow:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._number = ""
        with ui.element("div").classes("flow item") as self.element:
            self._text = ui.label().classes("small wrap grow")
            ui.button("End", on_click=self._end).props("dense flat size=sm")

    def update(self, silence: Any) -> None:
        self._number = silence["id"]
        what = describe_matchers(silence["matchers"])
        until = f"until {self._context.zone.clock(silence['endsAt'])}"
        self._text.set_text(f"{what}: {silence['comment']} ({silence['createdBy']}, {until})"[:_MAX_CHARACTERS])

    async def _end(self) -> None:
        await self._context.run_action(
            self._context.sources.silencer.end_silence(self._number), "The silence is ended."
        )
        await self._context.sources.alertmanager.poll()


class _DeliveredRow:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self.element = ui.label().classes("small num wrap")

    def update(self, alert: Any) -> None:
        delay = "" if alert["delay"] is None else f", notified after {alert['delay']:.1f} s"
        over = "" if alert["resolved_delay"] is None else f"; its end notified after {alert['resolved_delay']:.1f} s"
        began = self._context.zone.bare_clock(alert["starts_at"])
        text = f"{began} {title(alert['labels'])}: {alert['status']}{delay}{over}"
        loud = BAD if is_page(alert["labels"]) else WARN
        set_text(self.element, text[:_MAX_CHARACTERS], loud if alert["status"] == "firing" else "dim")


def describe_age(context: PageContext, since: str) -> str:
    """Return when something began and how long ago, "" if that is not known."""
    if not since:
        return ""
    age = max(0.0, context.sources.clock() - unix_time(since))
    return f"{context.zone.clock(since)}, {durations.format(round(age))}"


def _open_runbook(text: str) -> None:
    with (
        ui.dialog(value=True).props("position=left seamless") as dialog,
        ui.card().classes("dialog").style("width:640px"),
    ):
        ui.markdown(text, extras=["tables", "fenced-code-blocks"]).classes("markdown full-width")
        ui.button("Close", on_click=dialog.close).props("flat")
    dialog.on("hide", dialog.delete)


def runbook(url: str) -> str | None:
    """Return the text of a runbook that chaosapi ships, None for another."""
    if "://" in url and "/runbooks/" not in url:
        return None
    name = url.rpartition("/")[2].removesuffix(".md")
    try:
        # The name is looked up among the files that exist: text from an alert never becomes a path.
        files = {file.stem: file for file in (assets.path("alerts") / "runbooks").glob("*.md")}
    except FileNotFoundError:
        return None
    return files[name].read_text(encoding="utf-8") if name in files else None
