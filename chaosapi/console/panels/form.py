"""The form of a fault, made from the service's own schemas, with the forecast beside it."""

import html
from collections.abc import Mapping
from typing import Any, Final

from nicegui import ui

from chaosapi.clients.errors import ClientError
from chaosapi.console import forecast
from chaosapi.console.panels.fields import FormFields
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.schema import form_parts, merge_patch
from chaosapi.console.service import EffectCatalogue, Json, as_curl

_PAUSE: Final = 0.5  # seconds without a keystroke before a forecast is asked for
_FIRST: Final = ("rate", "schedule.duration", "target.routes", "name")
"""What most faults say, in this order; the rest is folded."""
_FIXED: Final = ("effect", "rate_sum")
_KEPT: Final = ("name", "rate_sum")


class FaultForm:
    """A dialog that injects a fault, or changes `fault`."""

    def __init__(self, desk: PageContext, catalogue: EffectCatalogue, fault: Json | None) -> None:
        self._desk = desk
        self._catalogue = catalogue
        self._fault = fault
        self._edits = 0
        properties = {name: each for name, each in catalogue.fault["properties"].items() if name not in _FIXED}
        common = form_parts({"properties": properties}, catalogue.definitions)
        first = [part for name in _FIRST for part in common if ".".join(part.path) == name]
        more = [part for part in common if part not in first]
        values = dict(fault or {})
        with ui.dialog(value=True) as self._dialog, ui.card().classes("dialog"):
            ui.label(f"Change {fault['name']}" if fault else "Add a fault").classes("strong")
            with ui.element("div").classes("two"):
                with ui.element("div"):
                    self._effect_choice(values)
                    self._first = FormFields(first, values, self._changed, frozen=("name",) if fault else ())
                    self._effect_fields = ui.element("div")
                    with ui.expansion("More: when and how strong, whom, until what").classes("full-width dense"):
                        self._more = FormFields(more, values, self._changed)
                with ui.element("div").props("aria-live=polite"):
                    ui.label("Forecast, if it is injected now").classes("strong")
                    self._forecast = ui.column().classes("small").style("gap:4px;min-height:160px")
                    self._trouble = ui.label().classes("bad small wrap")
            with ui.element("div").classes("flow"):
                label = "Change it" if fault else "Inject"
                self._send = ui.button(label, icon="bolt", on_click=self._inject).props("color=negative")
                ui.button("Copy as curl", icon="content_copy", on_click=self._copy).props("flat")
                ui.button("Cancel", on_click=self._dialog.close).props("flat")
        self._dialog.on("hide", self._dialog.delete)
        self._soon = ui.timer(_PAUSE, self._ask, active=False)
        self._show_effect(values)

    def _effect_choice(self, values: Mapping[str, Any]) -> None:
        allowed = [name for name, each in self._catalogue.effects.items() if each["denied"] is None]
        chosen = values["effect"]["type"] if values else allowed[0]
        self._effect = ui.select(allowed, value=chosen, label="Effect", on_change=lambda: self._show_effect({}))
        self._effect.classes("full-width").props("outlined dense")
        self._summary = ui.label().classes("small dim wrap")

    def _show_effect(self, values: Mapping[str, Any]) -> None:
        effect = self._catalogue.effects[self._effect.value]
        self._summary.set_text(effect["summary"])
        schema = effect["parameters"]
        self._effect_fields.clear()
        with self._effect_fields:
            known = values or effect["example"]
            self._parameters = FormFields(
                form_parts(schema, schema.get("$defs", {}), ("effect",)), known, self._changed
            )
        self._changed()

    def _changed(self) -> None:
        self._edits += 1
        self._send.disable()
        self._soon.cancel()
        with self._dialog:
            self._soon = ui.timer(_PAUSE, self._ask, once=True)

    def _body(self) -> dict[str, Any]:
        """Read the form; raises ValueError where a field cannot be read, which then says so itself."""
        body: dict[str, Any] = {"effect": {"type": self._effect.value}}
        for fields in (self._parameters, self._first, self._more):
            for name, value in fields.read().items():
                body[name] = {**body[name], **value} if isinstance(body.get(name), dict) else value
        return body

    async def _ask(self) -> None:
        """Show what would happen; only then there is something to press."""
        self._trouble.set_text("")
        asked = self._edits
        try:
            outlook = await self._desk.admin.forecast(self._body())
        except ValueError:
            return
        except ClientError as trouble:
            if asked == self._edits:
                self._complain(trouble)
            return
        if asked == self._edits:  # else this is the answer to what stood there before
            self._foretell(outlook)
            self._send.enable()

    def _foretell(self, outlook: Json) -> None:
        self._forecast.clear()
        with self._forecast:
            ui.html(table(forecast.alerts(outlook)), sanitize=False).classes("full-width")
            for text in [*forecast.verdict(outlook), *forecast.budgets(outlook)]:
                ui.label(text).classes("wrap")
            for text in forecast.remarks(outlook):
                ui.label(text).classes("wrap dim")

    async def _inject(self) -> None:
        self._send.disable()  # or a double click injects two
        try:
            body = self._body()
            if self._fault:
                body.pop("name", None)
                shown = {name: self._fault[name] for name in self._catalogue.fault["properties"] if name not in _KEPT}
                await self._desk.admin.change_fault(self._fault["name"], merge_patch(shown, body))
            else:
                await self._desk.admin.create_fault(body, wait="2s")
        except ValueError:
            return
        except ClientError as trouble:
            self._complain(trouble)
            self._send.enable()
            return
        await self._desk.room.service.poll()
        ui.notify("The fault is changed." if self._fault else "The fault is injected.", type="positive")
        self._dialog.close()

    def _complain(self, trouble: ClientError) -> None:
        self._forecast.clear()
        left = trouble.fields
        for fields in (self._parameters, self._first, self._more):
            left = fields.show_errors(left)
        shown = trouble.fields and not left
        self._trouble.set_text("" if shown else str(trouble))

    def _copy(self) -> None:
        try:
            body = self._body()
        except ValueError:
            return
        token = self._desk.token is not None
        ui.clipboard.write(as_curl(self._desk.room.service.source.url, body, token=token))
        ui.notify("Copied.")


def table(alerts: list[tuple[str, ...]]) -> str:
    """Draw the alerts that will fire as a table, nothing without any."""
    rows = ["<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in row) for row in alerts]
    heads = "".join(f'<td class="dim">{head}' for head in ("will fire", "at", "by chance", "told", "over"))
    return f'<table class="plain num"><tr>{heads}{"".join(rows)}</table>' if rows else ""
