"""The actions of operators as merge patches of the world, for `AdminClient.change_world`.

An action that depends on the present world takes the answer of `AdminClient.world`; send its patch with `if_revision`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chaosapi.clients.answers import ChangeView, FieldChange, WorldView
from chaosapi.clients.exchange import Json

_DEEP: Final = "release.by_replica."
"""The fields below it are the names of replicas, which may contain dots."""


def set_field(field: str, value: Any) -> Json:
    """Return the patch that sets a field by its path, such as `settings.shop_retries`; None restores it."""
    return _nested(_path(field), value)


def deploy(version: str, replicas: Iterable[str] = ()) -> Json:
    """Return the patch that deploys a release on these replicas, or on all."""
    by_replica = dict.fromkeys(replicas, version)
    return {"release": {"by_replica": by_replica} if by_replica else {"running": version, "by_replica": None}}


def roll_back(world: WorldView, to: str | None = None) -> Json:
    """Return the patch that rolls back: to a release, else single replicas to the release of all, else to the former.

    Raises ValueError where there is no former release.
    """
    release = world["release"]
    if to:
        return deploy(to)
    if release["by_replica"]:
        return {"release": {"by_replica": dict.fromkeys(release["by_replica"])}}
    if not release["previous"]:
        raise ValueError(f"{release['running']} is the first release that is known: say which one is to run")
    return deploy(release["previous"])


def limit(world: WorldView, header: str, value: str, requests_per_second: float) -> Json:
    """Return the patch that limits requests with a header of this value, 0 blocks them; another limit is replaced."""
    new = {"header": header.lower(), "value": value, "requests_per_second": requests_per_second}
    return {"limits": [*_other_limits(world, header, value), new]}


def unlimit(world: WorldView, header: str, value: str) -> Json:
    """Return the patch that lifts a limit or a block; raises ValueError where there is none."""
    others = _other_limits(world, header, value)
    if len(others) == len(world["limits"]):
        raise ValueError(f"requests with {header}={value} are not limited")
    return {"limits": others}


def quarantine(world: WorldView, product: str) -> Json:
    """Return the patch that takes a product off the shop."""
    return {"quarantine": sorted({*world["quarantine"], product})}


def bring_back(world: WorldView, product: str) -> Json:
    """Return the patch that brings a product back from quarantine; raises ValueError where it is not there."""
    if product not in world["quarantine"]:
        raise ValueError(f"{product} is not in quarantine")
    return {"quarantine": [each for each in world["quarantine"] if each != product]}


def undo(world: WorldView, change: ChangeView) -> Json:
    """Return the patch that undoes a change; raises ValueError where one of its fields has changed since."""
    patch: Json = {}
    for field in change["fields"]:
        path = _path(field["field"])
        if _value(world, path) != field["after"]:
            raise ValueError(f"{field['field']} has changed since: it is {_value(world, path)!r} now")
        patch = merged(patch, _nested(path, field["before"]))
    return patch


def value_of(world: Mapping[str, Any], field: str) -> Any:
    """Return the present value of a field by its path; None if it is not there."""
    return _value(world, _path(field))


def merged(one: Json, other: Json) -> Json:
    """Return two patches as one."""
    both = dict(one)
    for name, value in other.items():
        nested = isinstance(value, dict) and isinstance(both.get(name), dict)
        both[name] = merged(both[name], value) if nested else value
    return both


def words(change: FieldChange) -> str:
    """Return a change of a field as a person reads it."""
    return f"{change['field']}: {word(change['before'])} → {word(change['after'])}"


def word(value: Any) -> str:
    """Return a value as a person reads it."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(word, value))
    if isinstance(value, dict):
        return (
            f"{value['header']}={value['value']} {value['requests_per_second']:g}/s"
            if "header" in value
            else str(value)
        )
    return str(value)


def _other_limits(world: WorldView, header: str, value: str) -> list[Json]:
    return [each for each in world["limits"] if (each["header"], each["value"]) != (header.lower(), value)]


def _path(field: str) -> list[str]:
    if field.startswith(_DEEP):
        return ["release", "by_replica", field.removeprefix(_DEEP)]
    return field.split(".", 1)


def _nested(path: list[str], value: Any) -> Json:
    for name in reversed(path):
        value = {name: value}
    found: Json = value
    return found


def _value(world: Mapping[str, Any], path: list[str]) -> Any:
    found: Any = world
    for name in path:
        found = found.get(name)
    return found
