"""What is always on the screen: how each source is, the kill switch, and the halt."""

from collections.abc import Callable
from typing import Final

from nicegui import ui

from chaosapi.clients.errors import ClientError
from chaosapi.console.panels.keyed_list import count_noun, format_replicas, set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import TONES

# In the browser, since a dialog keeps the focus, and no other keystroke is to be sent.
_SHORTCUT: Final = """<script>addEventListener("keydown", (event) => {
  if (event.altKey && event.code === "KeyK" && !event.repeat) {
    event.preventDefault();
    document.querySelector(".kill").click();
  }
})</script>"""


class Header:
    """The bar at the top; `switch_theme` is called when somebody wants it."""

    def __init__(self, desk: PageContext, switch_theme: Callable[[], None]) -> None:
        self._desk = desk
        self._chips = [ui.label("").classes("chip").mark(f"source-{feed.source.name}") for feed in desk.room.feeds]
        for chip, feed in zip(self._chips, desk.room.feeds, strict=True):
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
        """Show how things are."""
        for chip, feed in zip(self._chips, self._desk.room.feeds, strict=True):
            state = feed.state()
            optional = state == "down" and feed is self._desk.room.locust
            set_text(chip, f"{feed.source.name}: {state}", "dim" if optional else TONES[state])
        service = self._desk.service
        faults = len(service.active()) if service else 0
        replicas = len(service.replicas) if service else 0
        self._counts.set_text(f"{count_noun(faults, 'fault')} · {count_noun(replicas, 'replica')}" if service else "")
        self._halt.set_visibility(service is None or service.halt is None)
        self._key.set_visibility(not self._desk.room.has_own_token and self._locked())

    def _locked(self) -> bool:
        room = self._desk.room
        return room.service.state() == "locked" or room.admin.token is not None

    async def _end_all(self) -> None:
        desk = self._desk
        ended = await desk.run_action(
            desk.admin.end_all_faults(reason="kill switch of the console", wait="2s"),
            "The kill switch was used.",
        )
        if ended:
            ui.notify(f"{count_noun(ended['ended'], 'fault')} ended on {format_replicas(ended['replicas'])}")

    def _ask_halt(self) -> None:
        with ui.dialog(value=True) as dialog, ui.card().classes("dialog").style("width:420px"):
            ui.label("Halt: end every fault and refuse new ones").classes("strong")
            why = ui.input("Reason, shown to whoever is refused").props("autofocus").classes("full-width")

            async def halt() -> None:
                if await self._desk.run_action(self._desk.admin.halt(reason=why.value or ""), "Chaos is halted."):
                    dialog.close()

            why.on("keydown.enter", halt)
            with ui.element("div").classes("flow"):
                ui.button("Halt", on_click=halt).props("color=warning")
                ui.button("Cancel", on_click=dialog.close).props("flat")
        dialog.on("hide", dialog.delete)

    def _ask_token(self) -> None:
        with ui.dialog(value=True) as dialog, ui.card().classes("dialog").style("width:420px"):
            ui.label("Admin token of the service").classes("strong")
            token = ui.input("Kept in this session's memory alone", password=True).props("autofocus")
            token.classes("full-width").props("autocomplete=off")

            async def enter() -> None:
                try:
                    await self._desk.room.unlock(token.value or "")
                except ClientError as trouble:
                    token.error = str(trouble)
                    return
                self._desk.session.token = token.value
                dialog.close()

            token.on("keydown.enter", enter)
            with ui.element("div").classes("flow"):
                ui.button("Use it", on_click=enter)
                ui.button("Cancel", on_click=dialog.close).props("flat")
        dialog.on("hide", dialog.delete)


class Banners:
    """Below the bar: what is away and what to do about it, and the halt with its reason."""

    def __init__(self, desk: PageContext) -> None:
        self._desk = desk
        with ui.element("div").classes("banner flow").props("role=status") as self._halted:
            self._why = ui.label("").classes("wrap grow strong")
            ui.button("Allow faults again", on_click=self._resume).props("dense outline")
        self._troubles = [ui.label("").classes("banner wrap") for _ in desk.room.feeds]
        self._hidden = ui.label("The service wants a token: enter it with the key at the top.").classes("banner")
        self._blind = ui.label(
            "Prometheus cannot scrape the service: its curves and budgets stand still. Silence is not health."
        ).classes("banner")

    def update(self) -> None:
        """Show what is to be known."""
        service = self._desk.service
        self._halted.set_visibility(bool(service and service.halt))
        if service and service.halt:
            since = service.halt["since"][11:19]
            self._why.set_text(f"Chaos is halted since {since} UTC: {service.halt['reason'] or 'no reason given'}")
        for label, feed in zip(self._troubles, self._desk.room.feeds, strict=True):
            # Locust is seldom there all the time, and its own panel says what to do.
            away = feed.state() in ("down", "stale", "locked") and feed is not self._desk.room.locust
            label.set_visibility(away)
            if away:
                label.set_text(feed.describe())
        watch = self._desk.room.prometheus
        room = self._desk.room
        token = self._desk.session.token
        self._hidden.set_visibility(room.service.state() != "locked" and not room.may_see(token))
        self._blind.set_visibility(watch.state() == "up" and watch.answer is not None and not watch.answer.up)

    async def _resume(self) -> None:
        await self._desk.run_action(self._desk.admin.resume(), "Faults are allowed again.")
