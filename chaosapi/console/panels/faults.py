"""The panel of faults, with the requested and the achieved rate of each."""

from functools import partial

from nicegui import ui

from chaosapi import durations
from chaosapi.binomial import expected_range
from chaosapi.console.panels.form import FaultForm
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.keyed_list import KeyedList, format_replicas, set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import TONES
from chaosapi.console.service import (
    Json,
    as_curl,
    describe_condition,
    describe_effect,
    describe_target,
    editable_fields,
)

_ENDED_SHOWN = 5


class FaultsPanel:
    """The list of faults, and the button that opens the form."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        with ui.element("div").classes("flow").style("margin-bottom:8px"):
            ui.button("Add a fault", icon="add", on_click=partial(_compose, context)).props("dense unelevated")
        self._rows: KeyedList[Json] = KeyedList(lambda: _FaultRow(context), "No faults.")

    def update(self) -> None:
        service = self._context.service
        if service is None:
            self._rows.show({}, "Faults are unknown: see the top of the page.")
            return
        ended = [fault for fault in service.faults if fault["state"] == "ended"][:_ENDED_SHOWN]
        shown = [*service.active(), *ended]
        self._rows.show({(fault["name"], fault["created_at"]): fault for fault in shown})


class _FaultRow:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._fault: Json = {}
        with ui.element("div").classes("item") as self.element:
            with ui.element("div").classes("flow"):
                self._name = Heading(3).classes("strong wrap")
                self._state = ui.label().classes("chip")
                ui.element("div").classes("grow")
                self._left = ui.label().classes("num small")
            self._what = ui.label().classes("small wrap")
            self._condition = ui.label().classes("small wrap")
            self._rates = ui.label().classes("small num dim")
            self._note = ui.label().classes("small wrap")
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
        self._left.set_text(f"ended {self._context.zone.clock(fault['ends_at'])}" if over else f"{remaining} left")
        self._what.set_text(f"{describe_effect(fault['effect'])} · {describe_target(fault['target'])}")
        condition = describe_condition(fault)
        self._condition.set_text(condition)
        self._condition.set_visibility(bool(condition))
        strength = "" if over else f"strength {fault['strength']:.0%} · "
        counts = f"{receipt['injected']} of {receipt['matched']} hit"
        found = expected_range(fault)
        expected = f", expected range {found[0]:.1%} to {found[1]:.1%}" if found else ""
        rates = f"requested {receipt['requested_rate']:.2%}, actual {receipt['achieved_rate']:.2%} ({counts}{expected})"
        skipped = f", {receipt['skipped']} skipped" if receipt["skipped"] else ""
        skipped += f", {receipt['spared']} spared by the condition" if receipt.get("spared") else ""
        followed = "" if over else f" · {format_replicas(receipt['replicas'])}"
        self._rates.set_text(f"{strength}{rates}{skipped}{followed}")
        self._note.set_text(fault.get("note", ""))
        self._note.set_visibility(bool(fault.get("note")))
        self._acts.set_visibility(not over)

    async def _end(self) -> None:
        name = self._fault["name"]
        await self._context.run_action(self._context.admin.end_fault(name), f"{name} is ended.")

    async def _edit(self) -> None:
        await _compose(self._context, self._fault)

    async def _copy(self) -> None:
        catalogue = await self._context.run_action(
            self._context.sources.admin.catalogue(self._context.token), "Copied."
        )
        if catalogue:
            body = editable_fields(self._fault, catalogue.fault["properties"])
            token = self._context.token is not None
            ui.clipboard.write(as_curl(self._context.sources.service.source.url, body, token=token))


async def _compose(context: PageContext, fault: Json | None = None) -> None:
    """Open the form for a new fault, or to change `fault`."""
    catalogue = await context.run_action(context.sources.admin.catalogue(context.token), "")
    if catalogue:
        FaultForm(context, catalogue, fault)
