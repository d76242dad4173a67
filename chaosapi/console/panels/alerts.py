"""The panel of present alerts, silences, and alerts that the webhook received."""

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

_MAX_DELIVERED = 10
_MAX_ROWS = 100
"""How many alerts, and how many silences, are shown."""
_MAX_CHARACTERS = 1000
_UNKNOWN = "is unknown: see the top of the page."


class AlertsPanel:
    """Pending, firing and muted alerts; below them silences and deliveries."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._rows: KeyedList[AlertState] = KeyedList(lambda: _AlertRow(context), "No alert is pending or firing.")
        self._more = ui.label().classes("small dim")
        ui.label("Silences").classes("strong").style("margin-top:12px")
        self._silences: KeyedList[Any] = KeyedList(lambda: _SilenceRow(context), "None.")
        ui.label("Received by the webhook").classes("strong").style("margin-top:12px")
        self._delivered: KeyedList[Any] = KeyedList(_DeliveredRow, "Nothing yet.")

    def update(self) -> None:
        sources = self._context.sources
        # A source that is not up has old data: then the other source alone is shown.
        watch = sources.prometheus.answer if sources.prometheus.state() == "up" else None
        alerting = sources.alertmanager.answer if sources.alertmanager.state() == "up" else None
        rules = [pair for budget in watch.budgets for pair in budget.pairs] + list(watch.others) if watch else []
        shown = current_states((alert for pair in rules for alert in pair.alerts), alerting)
        unsure = None if watch and alerting else f"Whether an alert is pending or firing {_UNKNOWN}"
        self._rows.show({identity(each.labels): each for each in shown[:_MAX_ROWS]}, unsure)
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


class _AlertRow:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._alert: AlertState | None = None
        with ui.element("div").classes("item") as self.element:
            with ui.element("div").classes("flow"):
                self._state = ui.label().classes("chip")
                self._title = ui.label().classes("strong wrap")
                ui.element("div").classes("grow")
                self._since = ui.label().classes("small num")
            self._name = ui.label().classes("small dim wrap")
            self._summary = ui.label().classes("small wrap")
            with ui.element("div").classes("flow"):
                self._silence_button = ui.button("Silence…", icon="notifications_off", on_click=self._silence)
                self._silence_button.props("dense flat size=sm")
                self._runbook = ui.element("div")
                self._runbook_url = ""

    def update(self, alert: AlertState) -> None:
        self._alert = alert
        set_text(self._state, alert.state, TONES[alert.state])
        self._title.set_text(title(alert.labels)[:_MAX_CHARACTERS])
        since = max(0.0, self._context.sources.clock() - unix_time(alert.since)) if alert.since else 0.0
        self._since.set_text(f"{alert.since[11:19]} UTC, {durations.format(round(since))}" if alert.since else "")
        muted = f" · by {', '.join(each[:8] for each in alert.muted_by)}" if alert.muted_by else ""
        self._name.set_text(other_labels(alert.labels)[:_MAX_CHARACTERS] + muted)
        self._summary.set_text(alert.annotations.get("summary", "")[:_MAX_CHARACTERS])
        self._silence_button.set_visibility(alert.state != "silenced")
        self._show_runbook(alert.annotations.get("runbook_url", ""))

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
        if self._alert is None:
            return
        labels = dict(self._alert.labels)
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
        until = f"until {silence['endsAt'][11:19]} UTC"
        self._text.set_text(f"{what}: {silence['comment']} ({silence['createdBy']}, {until})"[:_MAX_CHARACTERS])

    async def _end(self) -> None:
        await self._context.run_action(
            self._context.sources.silencer.end_silence(self._number), "The silence is ended."
        )
        await self._context.sources.alertmanager.poll()


class _DeliveredRow:
    def __init__(self) -> None:
        self.element = ui.label().classes("small num wrap")

    def update(self, alert: Any) -> None:
        delay = "" if alert["delay"] is None else f", notified after {alert['delay']:.1f} s"
        over = "" if alert["resolved_delay"] is None else f", as resolved after {alert['resolved_delay']:.1f} s"
        text = f"{alert['starts_at'][11:19]} {title(alert['labels'])}: {alert['status']}{delay}{over}"
        set_text(self.element, text[:_MAX_CHARACTERS], TONES["firing"] if alert["status"] == "firing" else "dim")


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
