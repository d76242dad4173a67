"""YAML files in and out: read into a model with errors that point at line and field, written the way people would."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from chaosapi import errors

_MERGE, _NULL = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:null"


class Model(BaseModel):
    """Base of what is read from files: unknown fields are refused, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


M = TypeVar("M", bound=BaseModel)


class _Text(yaml.SafeLoader):
    """Leaves scalars as they are written, so that a label `0.20` or `true` stays just that; the model converts."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's name for it, and a class attribute there too
        first: [(tag, pattern) for tag, pattern in resolvers if tag in {_MERGE, _NULL}]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read(path: Path, model: type[M]) -> M:
    """Read a file into `model`; raises errors.Invalid as `parse` does, or when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Invalid(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(text, model, str(path))


def parse(text: str, model: type[M], source: str) -> M:
    """Turn YAML text into `model`.

    Raises errors.Invalid whose detail has a line `source:LINE: field: what would be right` for every mistake.
    """
    try:
        root = _Text(text).get_single_node()
        data = _Text(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        raise errors.Invalid(f"{where}: not one YAML document: {getattr(error, 'problem', None) or error}") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = [(_line(root, e["loc"]), ".".join(map(str, e["loc"])), _message(e)) for e in error.errors()]
        raise errors.Invalid(
            "\n".join(f"{source}:{line}: {field or 'document'}: {message}" for line, field, message in found),
            [{"field": field, "message": message} for _, field, message in found],
        ) from error


def _message(error: Any) -> str:
    """Say a pydantic error in this project's words where pydantic's are about itself."""
    if error["type"] == "extra_forbidden":
        return "unknown field"
    message = str(error["msg"])
    return (
        message.removeprefix("Value error, ") if error["type"] == "value_error" else message[:1].lower() + message[1:]
    )


def _line(node: yaml.Node | None, loc: Sequence[int | str]) -> int:
    """Follow a pydantic location into the document as far as it goes; the line there, counted from 1."""
    line = node.start_mark.line if node else 0
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            key, node = next(((k, v) for k, v in node.value if k.value == step), (None, None))
            line = key.start_mark.line if key else line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return line + 1


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, lists indented under their key, no references."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's signature
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True  # every rule stands for itself


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def write(data: dict[str, Any], made_by: str) -> str:
    """Turn generated data into YAML text whose first line says what made it."""
    body = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)
    return f"# Made by `{made_by}`: change what it is made from, then run it again.\n{body}"
