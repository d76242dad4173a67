"""The header with the states of the sources, the kill switch and the halt; and the banners below it."""

from collections.abc import Callable
from typing import Final

from nicegui import ui

from chaosapi.clients.errors import ClientError
from chaosapi.console.panels.keyed_list import format_replicas, set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import TONES
from chaosapi.text import count_noun

# Handled in the browser: a dialog keeps the focus, and other keystrokes need not reach the server.
_SHORTCUT: Final = """<script>addEventListener("keydown", (event) => {
  if (event.altKey && event.code === "KeyK" && !event.repeat) {
    event.preventDefault();
    document.querySelector(".kill").click();
  }
})</script>"""


class Header:
    """The bar at the top; its button for light or dark calls `switch_theme`."""

    def __init__(self, context: PageContext, switch_theme: Callable[[], None]) -> None:
        self._context = context
        self._chips = [
            ui.label("").classes("chip").mark(f"source-{feed.source.name}") for feed in context.sources.feeds
        ]
        for chip, feed in zip(self._chips, context.sources.feeds, strict=True):
            with chip:
                chip.tooltip(feed.source.url)
        ui.element("div").classes("grow")
        self._counts = ui.label("").classes("num small dim")
        ui.button(icon="contrast", on_click=switch_theme).props('flat dense aria-label="light or dark"')
        self._key = ui.button(icon="key", on_click=self._ask_token).props('flat dense aria-label="admin token"')
        self._halt = ui.button("Halt…", icon="front_hand", on_click=self._ask_halt).props("outline dense color=warning")
        kill = ui.button("End all faults", icon="stop_circle", on_click=self._end_all).props("dense color=negative")
        kill.classes("kill").tooltip("Alt+K")
        ui.add_head_html(_SHORTCUT)

    def update(self) -> None:
        for chip, feed in zip(self._chips, self._context.sources.feeds, strict=True):
            state = feed.state()
            optional = state == "down" and feed is self._context.sources.locust
            set_text(chip, f"{feed.source.name}: {state}", "dim" if optional else TONES[state])
        service = self._context.service
        faults = len(service.active()) if service else 0
        replicas = len(service.replicas) if service else 0
        self._counts.set_text(f"{count_noun(faults, 'fault')} · {count_noun(replicas, 'replica')}" if service else "")
        self._halt.set_visibility(service is None or service.halt is None)
        self._key.set_visibility(not self._context.sources.has_own_token and self._locked())

    def _locked(self) -> bool:
        sources = self._context.sources
        return sources.service.state() == "locked" or sources.admin.token is not None

    async def _end_all(self) -> None:
        context = self._context
        ended = await context.run_action(
            context.admin.end_all_faults(reason="kill switch of the console", wait="2s"),
            "All faults are ended.",
        )
        if ended:
            ui.notify(f"{count_noun(ended['ended'], 'fault')} ended on {format_replicas(ended['replicas'])}")

    def _ask_halt(self) -> None:
        with ui.dialog(value=True) as dialog, ui.card().classes("dialog").style("width:420px"):
            ui.label("Halt: end every fault and refuse new ones").classes("strong")
            why = ui.input("Reason, shown in refusals").props("autofocus").classes("full-width")

            async def halt() -> None:
                if await self._context.run_action(self._context.admin.halt(reason=why.value or ""), "Chaos is halted."):
                    dialog.close()

            why.on("keydown.enter", halt)
            with ui.element("div").classes("flow"):
                ui.button("Halt", on_click=halt).props("color=warning")
                ui.button("Cancel", on_click=dialog.close).props("flat")
        dialog.on("hide", dialog.delete)

    def _ask_token(self) -> None:
        with ui.dialog(value=True) as dialog, ui.card().classes("dialog").style("width:420px"):
            ui.label("Admin token of the service").classes("strong")
            token = ui.input("Kept in memory only, for this session", password=True).props("autofocus")
            token.classes("full-width").props("autocomplete=off")

            async def enter() -> None:
                try:
                    await self._context.sources.unlock(token.value or "")
                except ClientError as trouble:
                    token.error = str(trouble)
                    return
                self._context.session.token = token.value
                dialog.close()

            token.on("keydown.enter", enter)
            with ui.element("div").classes("flow"):
                ui.button("Use it", on_click=enter)
                ui.button("Cancel", on_click=dialog.close).props("flat")
        dialog.on("hide", dialog.delete)


class Banners:
    """Messages below the header: sources that are down, what to do about them, and the halt with its reason."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        with ui.element("div").classes("banner flow").props("role=status") as self._halted:
            self._why = ui.label("").classes("wrap grow strong")
            ui.button("Allow faults again", on_click=self._resume).props("dense outline")
        self._troubles = [ui.label("").classes("banner wrap") for _ in context.sources.feeds]
        self._hidden = ui.label("The service requires a token: enter it with the key at the top.").classes("banner")
        self._blind = ui.label(
            "Prometheus cannot scrape the service: its charts and budgets are out of date. Silence is not health."
        ).classes("banner")

    def update(self) -> None:
        service = self._context.service
        self._halted.set_visibility(bool(service and service.halt))
        if service and service.halt:
            since = service.halt["since"][11:19]
            self._why.set_text(f"Chaos is halted since {since} UTC: {service.halt['reason'] or 'no reason given'}")
        for label, feed in zip(self._troubles, self._context.sources.feeds, strict=True):
            # Locust is optional, and its own panel says what to do.
            away = feed.state() in ("down", "stale", "locked") and feed is not self._context.sources.locust
            label.set_visibility(away)
            if away:
                label.set_text(feed.describe())
        watch = self._context.sources.prometheus
        sources = self._context.sources
        token = self._context.session.token
        self._hidden.set_visibility(sources.service.state() != "locked" and not sources.may_see(token))
        self._blind.set_visibility(watch.state() == "up" and watch.answer is not None and not watch.answer.up)

    async def _resume(self) -> None:
        await self._context.run_action(self._context.admin.resume(), "Faults are allowed again.")
