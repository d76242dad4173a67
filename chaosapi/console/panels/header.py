"""The header with the states of the sources, the kill switch and the halt; and the banners below it."""

from collections.abc import Callable
from typing import Final

from nicegui import ui

from chaosapi import overload
from chaosapi.clients.errors import ClientError
from chaosapi.console.feed import Source
from chaosapi.console.locust import describe_badge
from chaosapi.console.panels.heading import Heading
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
    """The bar at the top; its button for light or dark calls `switch_theme`, that of the times `switch_zone`."""

    def __init__(
        self, context: PageContext, switch_theme: Callable[[], object], switch_zone: Callable[[], object]
    ) -> None:
        self._context = context
        self._chips = [_source_chip(feed.source) for feed in context.sources.feeds]
        ui.element("div").classes("grow")
        self._counts = ui.label("").classes("num small dim live")
        self._zone = ui.button(on_click=switch_zone).props("flat dense").classes("small")
        self._zone.tooltip("The zone of all times: UTC or that of this browser")
        ui.button(icon="contrast", on_click=switch_theme).props('flat dense aria-label="light or dark"')
        self._key = ui.button(icon="key", on_click=self._ask_token).props('flat dense aria-label="admin token"')
        self._halt = ui.button("Halt…", icon="front_hand", on_click=self._ask_halt).props("outline dense color=warning")
        kill = ui.button("End all faults", icon="stop_circle", on_click=self._end_all).props("dense color=negative")
        kill.classes("kill").tooltip("Alt+K")
        ui.add_head_html(_SHORTCUT)

    def update(self) -> None:
        locust = self._context.sources.locust
        for chip, feed in zip(self._chips, self._context.sources.feeds, strict=True):
            state = feed.state()
            text = f"{feed.source.name}: {state}"
            tone = TONES[state]
            if feed is locust:
                text = describe_badge(state, self._context.rate, known=feed.seen is not None)
                tone = tone if state == "up" else "dim"
            set_text(chip, text, tone)
        self._zone.set_text(f"Times: {self._context.zone.label(self._context.sources.clock())}")
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
            Heading(2, "Halt: end every fault and refuse new ones").classes("strong")
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
            Heading(2, "Admin token of the service").classes("strong")
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


def _source_chip(source: Source) -> ui.label:
    """Add the badge of a source; return the label of its state, which a disconnected page replaces."""
    with ui.element("div").classes("source"):
        chip = ui.label("").classes("chip live").mark(f"source-{source.name}")
        chip.tooltip(source.url)
        ui.label(f"{source.name}: unknown").classes("chip dim lost")
    return chip


class Banners:
    """Messages below the header: sources that are down, what to do about them, and the halt with its reason."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        with ui.element("div").classes("banner flow lost").props("role=alert"):
            ui.html(
                'Disconnected since <span class="disconnected-since"></span>: this page gets no data from the console. '
                "What it shows is from then. Faults can be ended with: chaosapi fault clear",
                sanitize=False,
            )
        with ui.element("div").classes("banner flow").props("role=status") as self._halted:
            self._why = ui.label("").classes("wrap grow strong")
            ui.button("Allow faults again", on_click=self._resume).props("dense outline")
        self._troubles = [ui.label("").classes("banner wrap") for _ in context.sources.feeds]
        self._hidden = ui.label("The service requires a token: enter it with the key at the top.").classes("banner")
        self._blind = ui.label(
            "Prometheus cannot scrape the service: nothing is known of its requests. Silence is not health."
        ).classes("banner wrap")
        self._busy = ui.label().classes("banner wrap").mark("busy")

    def update(self) -> None:
        service = self._context.service
        self._halted.set_visibility(bool(service and service.halt))
        if service and service.halt:
            since = self._context.zone.clock(service.halt["since"])
            self._why.set_text(f"Chaos is halted since {since}: {service.halt['reason'] or 'no reason given'}")
        for label, feed in zip(self._troubles, self._context.sources.feeds, strict=True):
            # Locust is optional, and its own panel says what to do.
            away = feed.state() in ("down", "stale", "locked") and feed is not self._context.sources.locust
            label.set_visibility(away)
            if away:
                label.set_text(feed.describe())
        sources = self._context.sources
        token = self._context.session.token
        self._hidden.set_visibility(sources.service.state() != "locked" and not sources.may_see(token))
        self._blind.set_visibility(self._context.watch is not None and not self._context.watch.up)
        self._show_overload()

    def _show_overload(self) -> None:
        watch = self._context.watch
        why = overload.reasons(watch.signs, watch.facts.scrape) if watch and watch.up else []
        slowed = self._context.service and self._context.service.slowed(
            self._context.sources.clock(), overload.window_s(watch.facts.scrape if watch else 0)
        )
        self._busy.set_visibility(bool(why) and not slowed)
        self._busy.set_text(f"This machine is too busy, do not trust the numbers: {', '.join(why)}.")

    async def _resume(self) -> None:
        await self._context.run_action(self._context.admin.resume(), "Faults are allowed again.")
