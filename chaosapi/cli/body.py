"""A fault's body from the words of a command line."""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
import yaml


class _Loader(yaml.SafeLoader):
    """Leaves `on` and `off` alone: YAML 1.1 makes booleans of them, and a pulse has both as fields."""


_BOOL = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|false)$"), list("tf"))


def document(file: Path) -> Any:
    """Read a JSON or YAML file; - is stdin."""
    try:
        return value(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(str(error)) from None


def value(text: str) -> Any:
    """Read JSON, or else YAML."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{text!r} is neither JSON nor YAML: {error}") from None


def pair(text: str) -> tuple[str, str]:
    """Split name=value."""
    name, separator, rest = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"{text!r} must be name=value")
    return name, rest


def put(body: dict[str, Any], parameters: Iterable[str]) -> None:
    """Put effect parameters (`distribution.value=200ms`) where they belong."""
    for parameter in parameters:
        path, text = pair(parameter)
        place = body.setdefault("effect", {})
        *parents, last = path.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise typer.BadParameter(f"{path}: {parent} is already a value")
        place[last] = value(text)


def present(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not given."""
    return {name: each for name, each in values.items() if each not in (None, {}, [])}
