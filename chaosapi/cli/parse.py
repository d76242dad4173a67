"""Parse the fault of a command line: JSON and YAML values, files, and `name=value` parameters."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import typer
import yaml

from chaosapi import budget
from chaosapi.budget import FILE
from chaosapi.errors import BadRequest, ChaosError
from chaosapi.slo.document import BoundedLoader

_RESOLVED: Final = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|false", "tf"),
    "int": (r"-?(?:0|[1-9][0-9]{0,30})", "-0123456789"),
    "float": (r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?", "-0123456789"),
    "merge": (r"<<", "<"),
}
"""The types of plain scalars besides text, by pattern and first characters: those of JSON, and merge keys.

YAML 1.1 would also read `on` and `off`, which are fields of a pulse, as booleans, and other text as dates or octals.
"""


class _Loader(BoundedLoader):
    """Loads YAML as JSON types only."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's name for it, and a class attribute there too


for _tag, (_pattern, _first) in _RESOLVED.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), ["", *_first])


def read_document(file: Path) -> Any:
    """Read a JSON or YAML file; - is stdin."""
    try:
        if str(file) == "-":
            return _value(sys.stdin.buffer.read(FILE.size + 1))
        with file.open("rb") as opened:
            return _value(opened.read(FILE.size + 1))
    except OSError as error:
        raise typer.BadParameter(str(error)) from None


def parse_value(text: str) -> Any:
    return _value(text.encode("utf-8", "surrogateescape"))


def _value(data: bytes) -> Any:
    try:
        return budget.read(data, FILE)
    except BadRequest:
        pass  # not JSON: try YAML
    except ChaosError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        text = data.decode()
        read = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
        budget.check(read, FILE)
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"this is not UTF-8: {error.reason} at byte {error.start}") from None
    except (yaml.YAMLError, ChaosError) as error:
        raise typer.BadParameter(f"{budget.shown(text)!r} is neither JSON nor YAML: {error}") from None
    return read


def split_parameter(text: str) -> tuple[str, str]:
    name, separator, rest = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"{text!r} must be name=value")
    return name, rest


def set_parameters(body: dict[str, Any], parameters: Iterable[str]) -> None:
    """Set effect parameters such as `distribution.value=200ms` in the body; the dots are the path."""
    for parameter in parameters:
        path, text = split_parameter(parameter)
        place = body.setdefault("effect", {})
        *parents, last = path.split(".")
        if len(parents) > FILE.depth:
            raise typer.BadParameter(f"{budget.shown(path)}: {budget.too_deep(FILE)}")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise typer.BadParameter(f"{path}: {parent} is already a value")
        place[last] = parse_value(text)


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values without None and empty collections."""
    return {name: each for name, each in values.items() if each not in (None, {}, [])}
