"""The faults that are there, each with what it was asked for and what it did."""

from functools import partial

from nicegui import ui

from chaosapi import durations
from chaosapi.console.panels.form import FaultForm
from chaosapi.console.panels.keyed_list import KeyedList, format_replicas, set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import TONES
from chaosapi.console.schema import format_value
from chaosapi.console.service import Json, as_curl, editable_fields

_ENDED = 5
"""How many faults that are over stay in the list."""


class FaultsPanel:
    """The list, and the button that opens the form."""

    def __init__(self, desk: PageContext) -> None:
        self._desk = desk
        with ui.element("div").classes("flow").style("margin-bottom:8px"):
            ui.button("Add a fault", icon="add", on_click=partial(_compose, desk)).props("dense unelevated")
        self._rows: KeyedList[Json] = KeyedList(lambda: _FaultRow(desk), "No fault: nobody has injected anything.")

    def update(self) -> None:
        """Show them as they are now."""
        service = self._desk.service
        if service is None:
            self._rows.show({}, "What faults there are is not known here: see the top of the page.")
            return
        ended = [fault for fault in service.faults if fault["state"] == "ended"][:_ENDED]
        shown = [*service.active(), *ended]
        self._rows.show({(fault["name"], fault["created_at"]): fault for fault in shown})


class _FaultRow:
    def __init__(self, desk: PageContext) -> None:
        self._desk = desk
        self._fault: Json = {}
        with ui.element("div").classes("item") as self.element:
            with ui.element("div").classes("flow"):
                self._name = ui.label().classes("strong wrap")
                self._state = ui.label().classes("chip")
                ui.element("div").classes("grow")
                self._left = ui.label().classes("num small")
            self._what = ui.label().classes("small wrap")
            self._rates = ui.label().classes("small num dim")
            with ui.element("div").classes("flow") as self._acts:
                ui.button("End", icon="stop", on_click=self._end).props("dense outline size=sm color=negative")
                ui.button("Edit", icon="edit", on_click=self._edit).props("dense flat size=sm")
                ui.button("Copy as curl", icon="content_copy", on_click=self._copy).props("dense flat size=sm")

    def update(self, fault: Json) -> None:
        self._fault = fault
        receipt = fault["receipt"]
        over = fault["state"] == "ended"
        self._name.set_text(fault["name"])
        set_text(self._state, fault["state"], TONES[fault["state"]])
        remaining = durations.format(round(durations.parse(fault["remaining"])))
        self._left.set_text(f"ended {fault['ends_at'][11:19]} UTC" if over else f"{remaining} left")
        self._what.set_text(f"{effect(fault['effect'])} · {target(fault['target'])}")
        strength = "" if over else f"strength {fault['strength']:.0%} · "
        counts = f"{receipt['injected']} of {receipt['matched']} hit"
        rates = f"asked {receipt['requested_rate']:.2%}, got {receipt['achieved_rate']:.2%} ({counts})"
        skipped = f", {receipt['skipped']} skipped" if receipt["skipped"] else ""
        followed = "" if over else f" · {format_replicas(receipt['replicas'])}"
        self._rates.set_text(f"{strength}{rates}{skipped}{followed}")
        self._acts.set_visibility(not over)

    async def _end(self) -> None:
        name = self._fault["name"]
        await self._desk.run_action(self._desk.admin.end_fault(name), f"{name} is ended.")

    async def _edit(self) -> None:
        await _compose(self._desk, self._fault)

    async def _copy(self) -> None:
        catalogue = await self._desk.run_action(self._desk.room.admin.catalogue(self._desk.token), "Copied.")
        if catalogue:
            body = editable_fields(self._fault, catalogue.fault["properties"])
            token = self._desk.token is not None
            ui.clipboard.write(as_curl(self._desk.room.service.source.url, body, token=token))


async def _compose(desk: PageContext, fault: Json | None = None) -> None:
    """Open the form, empty or with a fault to change."""
    catalogue = await desk.run_action(desk.room.admin.catalogue(desk.token), "")
    if catalogue:
        FaultForm(desk, catalogue, fault)


def effect(fields: Json) -> str:
    """Return an effect in a line: what was set, nothing that was left as it is."""
    inner = " ".join(
        f"{name} {effect(value) if isinstance(value, dict) and 'type' in value else format_value(value)}"
        for name, value in fields.items()
        if name != "type" and value not in (None, {}, [])
    )
    return f"{fields['type']} {inner}".strip()


def target(fields: Json) -> str:
    """Return a target in a line."""
    points = [f"calls to {', '.join(fields['points'])}"] if fields["points"] else []
    parts = [*points, *(fields["methods"] or []), *(fields["routes"] or ["all routes"])]
    parts += [f"{name}={value}" for name, value in fields["headers"].items()]
    return " ".join(parts + ([f"by {fields['sticky_by']}"] if fields["sticky_by"] else []))
