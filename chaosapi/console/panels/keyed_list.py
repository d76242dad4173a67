"""A list that updates its rows in place: nothing flickers, and the focus stays."""

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, Protocol, TypeVar

from nicegui import ui

from chaosapi.clients.answers import Replicas
from chaosapi.text import count_noun

Item_contra = TypeVar("Item_contra", contravariant=True)
Item = TypeVar("Item")


class KeyedRow(Protocol[Item_contra]):
    """One row, built once for its key."""

    @property
    def element(self) -> ui.element:
        """The row's element in the list."""

    def update(self, item: Item_contra) -> None:
        """Show the item in this row."""


class KeyedList(Generic[Item]):
    """Rows by key in an element of their own; `empty` is the text of an empty list."""

    def __init__(self, make: Callable[[], KeyedRow[Item]], empty: str, classes: str = "list") -> None:
        self._make = make
        self._rows: dict[Hashable, KeyedRow[Item]] = {}
        self._nothing = empty
        self._empty = ui.label(empty).classes("dim")
        self._list = ui.element("div").classes(classes)

    def show(self, items: Mapping[Hashable, Item], empty: str | None = None) -> None:
        """Show these items in their order; `empty` replaces the text of an empty list, such as after an error."""
        self._empty.set_text(empty or self._nothing)
        self._empty.set_visibility(not items and bool(empty or self._nothing))
        self._list.set_visibility(bool(items))
        for key in self._rows.keys() - items.keys():
            self._rows.pop(key).element.delete()
        before = list(self._rows)
        for key, item in items.items():
            if key not in self._rows:
                with self._list:
                    self._rows[key] = self._make()
            self._rows[key].update(item)
        if list(items) != before:
            self._rows = {key: self._rows[key] for key in items}
            for place, row in enumerate(self._rows.values()):
                row.element.move(self._list, place)


def format_replicas(replicas: Replicas) -> str:
    """Return how many of the known replicas have applied a change."""
    return f"{replicas['applied']} of {count_noun(replicas['known'], 'replica')}"


def set_text(label: ui.label, text: str, tone: str = "") -> None:
    """Set the text and the tone of a label; an unchanged tone is not sent to the browser again."""
    label.set_text(text)
    if tone and tone not in label.classes:
        label.classes(remove="ok warn bad fault calm dim plain", add=tone)
