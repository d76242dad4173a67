"""The fields of the world that the console offers, and what is typed into them."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from chaosapi.clients import world_actions

Json = Mapping[str, Any]
PARTS: Final = ("release", "flags", "settings", "providers", "rotation", "limits", "shed", "quarantine")
_CLASSES: Final = ("browse", "cart", "checkout")
_SWITCHES: Final = {"on": True, "off": False}


def parts(world: Json) -> dict[str, str]:
    """Return what to show of each part that something acts on."""
    return {name: _shown(world[name]) for name in PARTS if name not in world["absent"]}


def offered(world: Json, replicas: Iterable[Json]) -> list[str]:
    """Return the paths of the fields to choose from."""
    named = [f"rotation.{replica['name']}" for replica in replicas]
    found = [
        "release.running",
        *(f"flags.{name}" for name in world["flags"]),
        *(f"settings.{name}" for name in world["settings"]),
        *(f"providers.{name}" for name in world["providers"]),
        *dict.fromkeys(named),
        *(f"shed.{name}" for name in _CLASSES),
        "limits",
        "quarantine",
    ]
    return [field for field in found if field.partition(".")[0] not in world["absent"]]


def present(world: Json, field: str) -> str:
    """Return the present value of a field as it is typed."""
    value = world_actions.value_of(world, field)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else json.dumps(value)


def patch(field: str, text: str) -> dict[str, Any]:
    """Return the merge patch that sets a field to what was typed; nothing restores it."""
    typed = text.strip()
    value: Any = _SWITCHES.get(typed, typed or None)
    if value == typed and field != "release.running":  # a release such as 2.4 is text
        with suppress(ValueError):
            value = json.loads(typed)
    return world_actions.set_field(field, value)


def _shown(part: Any) -> str:
    if isinstance(part, dict):
        return ", ".join(f"{name} {world_actions.word(value)}" for name, value in part.items()) or "none"
    return world_actions.word(part)
