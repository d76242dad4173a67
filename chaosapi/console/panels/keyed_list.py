"""A list whose rows stay what they are while their content changes: nothing flickers, and the focus stays."""

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, Protocol, TypeVar

from nicegui import ui

from chaosapi.clients.answers import Replicas

Item_contra = TypeVar("Item_contra", contravariant=True)
Item = TypeVar("Item")


class KeyedRow(Protocol[Item_contra]):
    """One row, made once for its key."""

    @property
    def element(self) -> ui.element:
        """What stands in the list."""

    def update(self, item: Item_contra) -> None:
        """Show an item."""


class KeyedList(Generic[Item]):
    """Rows by key in an element of their own; `empty` is what stands there without any."""

    def __init__(self, make: Callable[[], KeyedRow[Item]], empty: str) -> None:
        self._make = make
        self._rows: dict[Hashable, KeyedRow[Item]] = {}
        self._nothing = empty
        self._empty = ui.label(empty).classes("dim")
        self._list = ui.element("div").classes("list")

    def show(self, items: Mapping[Hashable, Item], empty: str | None = None) -> None:
        """Show these items in their order; `empty` says why there are none, where that is no good news."""
        self._empty.set_text(empty or self._nothing)
        self._empty.set_visibility(not items)
        for gone in self._rows.keys() - items.keys():
            self._rows.pop(gone).element.delete()
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


def count_noun(number: int, noun: str) -> str:
    """Return a number and what it counts, in the singular where it is one."""
    return f"{number} {noun}{'s' * (number != 1)}"


def format_replicas(replicas: Replicas) -> str:
    """Return how many of the replicas that are known have followed."""
    return f"{replicas['applied']} of {count_noun(replicas['known'], 'replica')}"


def set_text(label: ui.label, text: str, tone: str = "") -> None:
    """Let a label say something, in a tone; what has not changed is not sent."""
    label.set_text(text)
    if tone and tone not in label.classes:
        label.classes(remove="ok warn bad fault calm dim plain", add=tone)
