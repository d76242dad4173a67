"""The form of a fault, built from the service's schemas, with a live forecast."""

import html
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from chaosapi.clients.errors import ClientError
from chaosapi.console import forecast
from chaosapi.console.panels.fields import FormFields
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.schema import form_parts, merge_patch
from chaosapi.console.service import EffectCatalogue, Json, as_curl

_HALT_INTERVAL_S: Final = 1.0
_DEBOUNCE_S: Final = 0.5  # from the last keystroke to the request for a forecast
_COMMON_FIELDS: Final = ("rate", "schedule.duration", "target.routes", "name")
"""The fields at the top, in this order; the others are folded."""
_ROUTES: Final = ("target", "routes")
_NOT_FIELDS: Final = ("effect", "rate_sum")
_NOT_PATCHED: Final = ("name", "rate_sum")


class FaultForm:
    """A dialog that injects a fault, or changes `fault`."""

    def __init__(self, context: PageContext, catalogue: EffectCatalogue, fault: Json | None) -> None:
        self._context = context
        self._catalogue = catalogue
        self._fault = fault
        self._edits = 0
        properties = {name: each for name, each in catalogue.fault["properties"].items() if name not in _NOT_FIELDS}
        common = form_parts({"properties": properties}, catalogue.definitions)
        first = [part for name in _COMMON_FIELDS for part in common if ".".join(part.path) == name]
        more = [part for part in common if part not in first]
        values = dict(fault or {})
        routes = self._known_routes()
        proposed = values or new_fault(routes)
        with ui.dialog(value=True) as self._dialog, ui.card().classes("dialog"):
            Heading(2, f"Change {fault['name']}" if fault else "Add a fault").classes("strong")
            with ui.element("div").classes("two"):
                with ui.element("div"):
                    self._effect_choice(values)
                    self._first = FormFields(
                        first, proposed, self._changed, frozen=("name",) if fault else (), known={_ROUTES: routes}
                    )
                    self._effect_fields = ui.element("div")
                    with ui.expansion("More: schedule, strength, target, condition, guard").classes("full-width dense"):
                        self._more = FormFields(more, values, self._changed)
                with ui.element("div").props("aria-live=polite"):
                    Heading(3, "Forecast, if it is injected now").classes("strong")
                    self._forecast = ui.column().classes("small").style("gap:4px;min-height:160px")
                    self._trouble = ui.label().classes("bad small wrap").props("role=alert")
            self._halted = ui.label().classes("bad wrap").props("role=status")
            with ui.element("div").classes("flow"):
                label = "Change it" if fault else "Inject"
                self._submit = ui.button(label, icon="bolt", on_click=self._inject).props("color=negative")
                ui.button("Copy as curl", icon="content_copy", on_click=self._copy).props("flat")
                ui.button("Cancel", on_click=self._dialog.close).props("flat")
            ui.timer(_HALT_INTERVAL_S, self._show_halt, immediate=False)
        self._dialog.on("hide", self._dialog.delete)
        self._has_forecast = False
        self._debounce = ui.timer(_DEBOUNCE_S, self._request_forecast, active=False)
        self._show_effect(values)
        self._show_halt()

    def _known_routes(self) -> tuple[str, ...]:
        watch = self._context.sources.prometheus.answer
        return watch.facts.routes if watch else ()

    def _show_halt(self) -> None:
        """Say that chaos is halted, for as long as it is: the service would refuse the fault."""
        halt = self._context.service.halt if self._context.service else None
        if halt:
            since = self._context.zone.clock(halt["since"])
            why = halt["reason"] or "no reason given"
            self._halted.set_text(f"Chaos is halted since {since} ({why}): allow faults again at the top of the page.")
        self._halted.set_visibility(bool(halt))
        self._submit.set_enabled(self._has_forecast and not halt)

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
        self._has_forecast = False
        self._submit.disable()
        self._debounce.cancel()
        with self._dialog:
            self._debounce = ui.timer(_DEBOUNCE_S, self._request_forecast, once=True)

    def _body(self) -> dict[str, Any]:
        """Return the fault of the form; raises ValueError if a field, which then shows its error, is invalid."""
        body: dict[str, Any] = {"effect": {"type": self._effect.value}}
        for fields in (self._parameters, self._first, self._more):
            for name, value in fields.read().items():
                body[name] = {**body[name], **value} if isinstance(body.get(name), dict) else value
        return body

    async def _request_forecast(self) -> None:
        """Show the forecast; only then enable the button that injects."""
        self._trouble.set_text("")
        asked = self._edits
        try:
            body = self._body()
            self._forecast.clear()
            with self._forecast:
                ui.label("The service computes it…").classes("dim")
            prediction = await self._context.forecasts.forecast(body)
        except ValueError:
            return
        except ClientError as error:
            if asked == self._edits:
                self._show_error(error)
            return
        if asked == self._edits:  # else the form has changed since the request
            self._show_forecast(prediction)
            self._has_forecast = True
            self._show_halt()

    def _show_forecast(self, prediction: Json) -> None:
        self._forecast.clear()
        with self._forecast:
            ui.html(table(forecast.alerts(prediction)), sanitize=False).classes("full-width")
            for text in [*forecast.verdict(prediction), *forecast.budgets(prediction)]:
                ui.label(text).classes("wrap")
            for text in forecast.remarks(prediction):
                ui.label(text).classes("wrap dim")

    async def _inject(self) -> None:
        self._has_forecast = False  # else a double click injects two faults
        self._show_halt()
        try:
            body = self._body()
            if self._fault:
                body.pop("name", None)
                shown = {
                    name: self._fault[name] for name in self._catalogue.fault["properties"] if name not in _NOT_PATCHED
                }
                await self._context.admin.change_fault(self._fault["name"], merge_patch(shown, body))
            else:
                await self._context.admin.create_fault(body, wait="2s")
        except ValueError:
            return
        except ClientError as error:
            self._show_error(error)
            self._has_forecast = True
            self._show_halt()
            return
        await self._context.sources.service.poll()
        ui.notify("The fault is changed." if self._fault else "The fault is injected.", type="positive")
        self._dialog.close()

    def _show_error(self, error: ClientError) -> None:
        self._forecast.clear()
        left = error.fields
        for fields in (self._parameters, self._first, self._more):
            left = fields.show_errors(left)
        shown = error.fields and not left
        self._trouble.set_text("" if shown else str(error))

    def _copy(self) -> None:
        try:
            body = self._body()
        except ValueError:
            return
        token = self._context.token is not None
        ui.clipboard.write(as_curl(self._context.sources.service.source.url, body, token=token))
        ui.notify("Copied.")


def new_fault(routes: Sequence[str]) -> dict[str, Any]:
    """Return what the form of a new fault proposes: less harm than the API's defaults.

    Those are every request of every route, for a quarter of an hour. The first of the known routes is the busiest.
    """
    return {"rate": 0.05, "schedule": {"duration": "2m"}, "target": {"routes": list(routes[:1])}}


def table(alerts: list[tuple[str, ...]]) -> str:
    """Return the alerts that will fire as an HTML table, "" without alerts."""
    rows = ["<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in row) for row in alerts]
    heads = "".join(f'<th scope="col">{head}' for head in ("will fire", "at", "expected range", "notified", "resolved"))
    return f'<table class="plain num"><tr>{heads}{"".join(rows)}</table>' if rows else ""
