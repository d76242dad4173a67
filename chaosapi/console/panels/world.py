"""The panel of the world: what operators have set, a form that changes it, and the latest changes."""

from nicegui import ui

from chaosapi.clients import world_actions
from chaosapi.console import world_fields
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.keyed_list import KeyedList, format_replicas
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.service import Json

_SHOWN = 20
_UNKNOWN = "The world is unknown: see the top of the page."


class WorldPanel:
    """The parts of the world, the form of one change, and the feed with a button that undoes each change."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._field = ui.select([], label="Field", on_change=self._show_present).props("dense outlined options-dense")
        self._field.classes("full-width").mark("world-field")
        with ui.element("div").classes("flow"):
            self._value = ui.input("Value; empty restores the default").props("dense outlined").classes("grow")
            self._note = ui.input("Why, for the feed").props("dense outlined").classes("grow")
            ui.button("Change", on_click=self._change).props("dense unelevated")
        self._parts = ui.element("div").classes("section")
        self._labels: dict[str, ui.label] = {}
        self._risks = ui.label().classes("small warn wrap")
        Heading(3, "Changes").classes("strong section")
        self._rows: KeyedList[Json] = KeyedList(lambda: _ChangeRow(context), "Nobody has changed anything.")

    def update(self) -> None:
        service = self._context.service
        if service is None or service.world is None:
            self._rows.show({}, _UNKNOWN)
            return
        for name, text in world_fields.parts(service.world).items():
            if name not in self._labels:
                with self._parts:
                    self._labels[name] = ui.label().classes("small wrap")
            self._labels[name].set_text(f"{name}: {text}")
        self._risks.set_text("; ".join(service.world["risks"]))
        self._risks.set_visibility(bool(service.world["risks"]))
        offered = world_fields.offered(service.world, service.replicas)
        if offered != self._field.options:
            self._field.set_options(offered)
        self._rows.show({change["revision"]: change for change in service.world_changes[:_SHOWN]})

    def _show_present(self) -> None:
        service = self._context.service
        if service and service.world and self._field.value:
            self._value.set_value(world_fields.present(service.world, self._field.value))

    async def _change(self) -> None:
        service = self._context.service
        if not service or not service.world or not self._field.value:
            return
        patch = world_fields.patch(self._field.value, self._value.value or "")
        revision = service.world["revision"]
        asked = self._context.admin.change_world(patch, note=self._note.value or None, if_revision=revision, wait="2s")
        changed = await self._context.run_action(asked, "The world is changed.")
        if changed:
            ui.notify(f"applied by {format_replicas(changed['replicas'])}")
            self._note.set_value("")
            self.update()


class _ChangeRow:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._change: Json = {}
        with ui.element("div").classes("item") as self.element:
            with ui.element("div").classes("flow"):
                self._what = ui.label().classes("small wrap strong")
                ui.element("div").classes("grow")
                self._at = ui.label().classes("num small dim")
            with ui.element("div").classes("flow"):
                self._who = ui.label().classes("small wrap dim grow")
                ui.button("Undo", icon="undo", on_click=self._undo).props("dense flat size=sm")

    def update(self, change: Json) -> None:
        self._change = change
        self._what.set_text("; ".join(map(world_actions.words, change["fields"])))
        self._at.set_text(self._context.zone.clock(change["at"]))
        why = f": {change['note']}" if change["note"] else ""
        self._who.set_text(f"{change['actor']}{why}")

    async def _undo(self) -> None:
        admin = self._context.admin
        world = await self._context.run_action(admin.world(), "")
        if not world:
            return
        revision = self._change["revision"]
        try:
            patch = world_actions.undo(world, self._change)  # type: ignore[arg-type]  # a ChangeView from the service
        except ValueError as error:
            ui.notify(str(error), type="negative")
            return
        note = f"undo of revision {revision}"
        asked = admin.change_world(patch, note=note, if_revision=world["revision"], wait="2s")
        await self._context.run_action(asked, f"Revision {revision} is undone.")
