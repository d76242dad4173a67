"""The inputs of a form: one for each part of a schema; their values as JSON."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from nicegui import ui

from chaosapi.console.schema import Field, Part, Path, body, format_value, initial_text, value_at

Input = ui.input | ui.select
_TITLES: Final[Mapping[Path, str]] = {
    ("rate",): "Share of requests hit, 0 to 1",
    ("schedule", "duration"): "Lasts for",
    ("schedule", "start_after"): "Begins after",
    ("schedule", "shape"): "Strength over time",
    ("target", "routes"): "Routes",
    ("target", "methods"): "HTTP methods",
    ("target", "headers"): "Only requests with headers",
    ("target", "sticky_by"): "Same outcome per header",
    ("target", "points"): "Calls to dependencies",
    ("target", "replicas"): "Only on replicas",
    ("while", "release"): "Acts while the release is",
    ("while", "flags"): "… and flags are",
    ("while", "settings"): "… and settings of the shop are",
    ("while", "providers"): "… and providers are",
    ("while", "in_rotation"): "… and the replica is in rotation",
    ("while", "limits"): "… and limits are",
    ("while", "shed"): "… and shares that are shed are",
    ("while", "quarantine"): "… and products in quarantine are",
    ("guard",): "Ends early on",
    ("reason",): "Reason, for the audit",
}
"""Titles of fields whose name says too little; others are their path in words."""


class FormFields:
    """The inputs of some parts, filled from `values` (JSON); `changed` is called at each keystroke.

    A default is the placeholder of a field that `values` lacks. `frozen` paths are read-only. `known` has values to
    choose from, by the path of a list; others can be typed.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        values: Mapping[str, Any],
        changed: Callable[[], None],
        *,
        frozen: tuple[str, ...] = (),
        known: Mapping[Path, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._values = values
        self._changed = changed
        self._frozen = frozen
        self._known = known
        self._inputs: dict[Path, tuple[Field, Input]] = {}
        self._choices: dict[Path, ui.select] = {}
        with ui.element("div").classes("fields"):
            for part in parts:
                self._add(part, self._inputs, self._choices)

    def read(self) -> dict[str, Any]:
        """Return the values as JSON; shows the error at each invalid field, and then raises ValueError."""
        found: dict[Path, Any] = {
            (*path, "type"): select.value for path, select in self._choices.items() if select.value
        }
        wrong = False
        for path, (field, made) in self._inputs.items():
            text = ", ".join(made.value) if isinstance(made.value, list) else str(made.value or "")
            made.error = None
            known = value_at(self._values, path)
            if not text.strip() and text != known:
                continue
            try:
                found[path] = initial_text(field, text, known)
            except ValueError as error:
                made.error = str(error)
                wrong = True
        if wrong:
            raise ValueError("a field cannot be read")
        return body(found)

    def show_errors(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Show the service's errors at their fields; return the errors that belong to none of them."""
        left = dict(fields)
        for path, (_, made) in self._inputs.items():
            name = ".".join(path)
            if name in left:
                made.error = left.pop(name)
        return left

    def _add(self, part: Part, inputs: dict[Path, tuple[Field, Input]], choices: dict[Path, ui.select]) -> None:
        if isinstance(part, Field):
            inputs[part.path] = (part, self._input(part))
            return
        value = value_at(self._values, (*part.path, "type")) or part.default
        select = ui.select(list(part.variants), value=value, label=_title(part.path)).props("outlined dense")
        choices[part.path] = select
        inner = ui.element("div").classes("fields wide")

        def show() -> None:
            for path in [path for path in self._inputs if path[: len(part.path)] == part.path]:
                del self._inputs[path]
            for path in [path for path in self._choices if path[: len(part.path)] == part.path and path != part.path]:
                del self._choices[path]
            inner.clear()
            with inner:
                for each in part.variants[select.value]:
                    self._add(each, self._inputs, self._choices)

        select.on_value_change(show)
        select.on_value_change(self._changed)
        show()

    def _input(self, field: Field) -> Input:
        known = format_value(value_at(self._values, field.path))
        label = _title(field.path) + (" *" if field.required else "")
        made: Input
        if field.path in self._known:
            given = value_at(self._values, field.path) or []
            offered = list(dict.fromkeys([*given, *self._known[field.path]]))
            made = ui.select(offered, value=given, label=label, multiple=True, new_value_mode="add-unique")
            made.props(f'use-chips clearable placeholder="{"" if given else "all"}"')
        elif field.choices:
            options = list(field.choices) if field.required else ["", *field.choices]
            made = ui.select(options, value=known if known in options else options[0], label=label)
        else:
            made = ui.input(label, value=known, placeholder=field.default).mark(".".join(field.path))
        hint = "choose, or type a pattern and press Enter" if field.path in self._known else field.limits
        made.props(f'outlined dense stack-label hint="{hint}"')
        made.classes("full-width wide" if field.path in self._known else "full-width")
        if field.help:
            made.tooltip(field.help)
        if ".".join(field.path) in self._frozen:
            made.disable()
        made.on_value_change(self._changed)
        return made


def _title(path: Path) -> str:
    """Return a label: the field's title, or its path without `effect`, `target` or `schedule` in words."""
    if path in _TITLES:
        return _TITLES[path]
    inner = path[1:] if path[0] in ("effect", "target", "schedule") and len(path) > 1 else path
    return " ".join(inner).replace("_", " ").capitalize()
