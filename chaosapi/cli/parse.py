"""Parse the fault of a command line: JSON and YAML values, files, and `name=value` parameters."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer
import yaml

from chaosapi import durations, json_limits
from chaosapi.effects import EFFECTS, Effect
from chaosapi.errors import BadRequest, ChaosError
from chaosapi.json_limits import FILE
from chaosapi.merge_patch import merge
from chaosapi.slo.document import BoundedLoader

_NOT_JSON: Final = object()
_COMPARISON: Final = re.compile(r"(.+?)(>=|<=|>|<|=)([^<>=]+)")
_SIGNS: Final = {">": "above", ">=": "at_least", "<": "below", "<=": "at_most"}
_SWITCHES: Final = {"on": True, "off": False}

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


def read_faults(file: Path) -> list[dict[str, Any]]:
    """Return the faults of a JSON or YAML file: each document is a fault or a list of faults; - is stdin."""
    faults: list[Any] = []
    for document in _read_documents(file):
        faults += document if isinstance(document, list) else [document]
    if not faults or not all(isinstance(fault, dict) for fault in faults):
        raise typer.BadParameter(f"{file} must hold faults as JSON or YAML objects: one, a list, or several documents")
    return faults


def parse_value(text: str) -> Any:
    data = text.encode("utf-8", "surrogateescape")
    found = _json(data)
    return _yaml(data, yaml.load) if found is _NOT_JSON else found


def _read_documents(file: Path) -> list[Any]:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(FILE.size + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(FILE.size + 1)
    except OSError as error:
        raise typer.BadParameter(str(error)) from None
    found = _json(data)
    if found is not _NOT_JSON:
        return [found]
    documents = _yaml(data, lambda text, loader: list(yaml.load_all(text, loader)))
    return [each for each in documents if each is not None]


def _json(data: bytes) -> Any:
    try:
        return json_limits.read(data, FILE)
    except BadRequest:
        return _NOT_JSON
    except ChaosError as error:
        raise typer.BadParameter(str(error)) from None


def _yaml(data: bytes, load: Callable[[str, type[_Loader]], Any]) -> Any:
    try:
        text = data.decode()
        read = load(text, _Loader)
        json_limits.check(read, FILE)
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"this is not UTF-8: {error.reason} at byte {error.start}") from None
    except (yaml.YAMLError, ChaosError) as error:
        raise typer.BadParameter(f"{json_limits.shown(text)!r} is neither JSON nor YAML: {error}") from None
    return read


def split_parameter(text: str) -> tuple[str, str]:
    name, separator, rest = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"{text!r} must be name=value")
    return name, rest


def read_condition(texts: Iterable[str]) -> dict[str, Any]:
    """Return the condition of options such as `release=2.4.1`, `flags.new-pricing=on` and `settings.queue>10`.

    An option may also be a condition as JSON or YAML.
    """
    condition: dict[str, Any] = {}
    for text in texts:
        if text.lstrip().startswith("{"):
            part = parse_value(text)
        elif found := _COMPARISON.fullmatch(text):
            part = _part_of_condition(*found.groups())
        else:
            raise typer.BadParameter(
                f"{json_limits.shown(text)!r} must be like release=2.4.1 or 'settings.shop_retries>0'"
            )
        condition = merge(condition, part)
    return condition


def _part_of_condition(path: str, sign: str, text: str) -> dict[str, Any]:
    part, dot, name = path.partition(".")
    value = text if part == "release" else _SWITCHES.get(text, parse_value(text))
    test = value if sign == "=" else {_SIGNS[sign]: value}
    return {part: {name: test} if dot else test}


def duration_text(text: str | None) -> str | None:
    """Return a duration with its unit: a number is in seconds. The API refuses what is no duration."""
    return f"{text}s" if text and re.fullmatch(r"\d+(\.\d*)?|\.\d+", text) else text


def seconds(text: str) -> float:
    """Return the seconds of a duration; a number is in seconds. Raises ValueError for what is none."""
    return durations.parse(duration_text(text))


def base_url(text: str) -> str:
    """Return the URL that the admin API's paths follow, of `localhost:8001` or of a page of the admin API."""
    url = text if "://" in text else f"http://{text}"
    return re.sub(r"/admin(/.*)?$", "", url.rstrip("/"))


def set_parameters(body: dict[str, Any], parameters: Iterable[str]) -> None:
    """Set the effect's parameters in the body.

    Each is `path=value` (`distribution.value=200ms`), the option `--field value`, or the value alone of the effect's
    main parameter (`shorthand`).
    """
    remaining = iter(parameters)
    for parameter in remaining:
        effect = body.setdefault("effect", {})
        if not isinstance(effect, dict):
            raise typer.BadParameter("effect must be an object with a type, such as {type: error}")
        if parameter.startswith("--"):
            path, text = _split_option(effect, parameter, remaining)
        elif "=" in parameter:
            path, text = split_parameter(parameter)
        else:
            path, text = _main_parameter(effect, parameter), parameter
        place = effect
        *parents, last = path.split(".")
        if len(parents) > FILE.depth:
            raise typer.BadParameter(f"{json_limits.shown(path)}: {json_limits.too_deep(FILE)}")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise typer.BadParameter(f"{path}: {parent} is already a value")
        place[last] = parse_value(text)


def _split_option(effect: Mapping[str, Any], option: str, remaining: Iterator[str]) -> tuple[str, str]:
    """Return the name and the value of a parameter that is written as an option."""
    name, equals, text = option.partition("=")
    kind = _effect_class(effect)
    field = name[2:].replace("-", "_")
    if field not in kind.model_fields:
        raise typer.BadParameter(f"there is no option {name} (--help lists them); {_listed_parameters(kind)}")
    value = text if equals else next(remaining, None)
    if value is None:
        raise typer.BadParameter(f"{name} needs a value")
    return field, value


def _main_parameter(effect: Mapping[str, Any], value: str) -> str:
    """Return the path of the parameter that a value without a name sets."""
    kind = _effect_class(effect)
    if kind.shorthand is None or value in kind.model_fields:
        raise typer.BadParameter(f"{json_limits.shown(value)!r} must be name=value; {_listed_parameters(kind)}")
    return kind.shorthand


def _effect_class(effect: Mapping[str, Any]) -> type[Effect]:
    """Return the class of the effect; raises BadParameter if there is none of this type."""
    types = {each.model_fields["type"].default: each for each in EFFECTS}
    kind = effect.get("type")
    if kind not in types:
        raise typer.BadParameter(f"{json_limits.shown(str(kind))!r} is no effect: there are {', '.join(types)}")
    return types[kind]


def _listed_parameters(kind: type[Effect]) -> str:
    names = [name for name in kind.model_fields if name != "type"]
    effect = kind.model_fields["type"].default
    return f"{effect} has the parameters {', '.join(names)}" if names else f"{effect} has no parameters"


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values without None and empty collections."""
    return {name: each for name, each in values.items() if each not in (None, {}, [])}
