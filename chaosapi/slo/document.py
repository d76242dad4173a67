"""Read YAML files into models, with line and field of every mistake, and write generated YAML in a readable layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from chaosapi import errors, json_limits
from chaosapi.json_limits import FILE
from chaosapi.text import escape_control

_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_PLAIN = {None, *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map", "null"))}
"""Tags that may be written; other tags ask for Python objects, or for values that JSON does not have."""

_LAYOUT = "\n\t"
_MAX_MISTAKES = 100
"""The most mistakes of one document that are listed; the rest are counted."""


class FileModel(BaseModel):
    """Base of the models read from files: unknown fields are refused, and instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


M = TypeVar("M", bound=BaseModel)
Loc = tuple[int | str, ...]
"""A place in a document: keys and indices from its root, as pydantic reports them."""


class BoundedLoader(yaml.SafeLoader):
    """Load plain data only, within the limits of values and depth; errors carry the line.

    Values are counted with all references resolved: aliases and merge keys let a few lines expand without bound.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._values = 0
        self._sizes: dict[yaml.Node, _Size] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node, and count its values and its depth."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # untyped in the stubs
        before = self._values
        self._depth += 1
        self._check(event, self._depth, before)
        if getattr(event, "tag", None) not in _PLAIN:
            raise _refusal(event, "tags (!) are not read here")
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            if node not in self._sizes:
                raise _refusal(event, f"*{event.anchor} stands in what it refers to")
            size = self._sizes[node]
            self._values += size.values
            self._check(event, self._depth + size.depth - 1, self._values)
        elif node is not None:
            self._values += 1
            inner = _children(node)
            deepest = max((self._sizes[each].depth for each in inner), default=0)
            self._sizes[node] = _Size(self._values - before, deepest + 1)
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """Refuse escapes of lone surrogates, which UTF-8 cannot encode."""
        node = super().compose_scalar_node(anchor)
        if not json_limits.encodable(node.value):
            raise _refusal(node, "this text has a lone surrogate, which UTF-8 cannot encode")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a duplicate key, of which PyYAML would silently take the last."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _refusal(key, f"the key {json_limits.shown(key.value)} is there twice")
                seen.add(key.value)
        return node

    def _check(self, at: Any, depth: int, values: int) -> None:
        if depth > FILE.depth + 1:  # a value in the innermost list
            raise _refusal(at, json_limits.too_deep(FILE))
        if values > FILE.values:
            raise _refusal(at, json_limits.too_many(FILE))


class _Size(NamedTuple):
    """The size of a node with all references resolved."""

    values: int
    depth: int


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _refusal(at: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


class _TextLoader(BoundedLoader):
    """Load scalars as text, so that a label `0.20` or `true` keeps its spelling; the model converts."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML reads this class attribute by its name
        first: [(tag, pattern) for tag, pattern in resolvers if tag in {_MERGE, _NULL}]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Mistake(NamedTuple):
    """A mistake in a file: the line counts from 1, the field is a path such as `slos.0.name`."""

    line: int
    field: str
    message: str


class InvalidFile(errors.Invalid):
    """A file with an invalid content; `mistakes` lists every reason."""

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        super().__init__(
            "\n".join(f"{source}:{line}: {field or 'document'}: {message}" for line, field, message in mistakes),
            [{"field": field, "message": message} for _, field, message in mistakes],
        )
        self.source = source
        self.mistakes = mistakes


@dataclass(frozen=True)
class Document:
    """One YAML document of a file: its data, and the node tree that knows the line of each value."""

    source: str
    node: yaml.Node | None
    data: Any

    def into(self, model: type[M], *, by_alias: bool = False) -> M:
        """Validate the data as `model`, by field names or by aliases; raises InvalidFile with all mistakes."""
        try:
            return model.model_validate(self.data, by_alias=by_alias, by_name=not by_alias)
        except ValidationError as error:
            found = error.errors()
            mistakes = sorted(self.mistake(each["loc"], _message(each)) for each in found[:_MAX_MISTAKES])
            if len(found) > _MAX_MISTAKES:
                mistakes.append(Mistake(mistakes[-1].line, "", f"and {len(found) - _MAX_MISTAKES:,} mistakes more"))
            raise InvalidFile(self.source, mistakes) from error

    def mistake(self, loc: Loc, message: str) -> Mistake:
        """Return a mistake at a place in the document: keys and indices from its root."""
        return Mistake(self.line(loc), ".".join(map(str, loc)), message)

    def line(self, loc: Loc) -> int:
        """Return the line, counted from 1, of the deepest node on the path `loc` that exists."""
        node = self.node
        line = self.node.start_mark.line if self.node else 0
        for step in loc:
            if isinstance(node, yaml.MappingNode):
                # PyYAML puts keys merged by `<<` before the mapping's own keys, which win.
                key, node = next(((k, v) for k, v in reversed(node.value) if k.value == step), (None, None))
                line = key.start_mark.line if key else line
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                node = node.value[step]
                line = node.start_mark.line
            else:
                break
        return line + 1


def read_text(path: Path) -> str:
    """Read a file; raises errors.Invalid for an unreadable file, or for one larger than the limit."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE.size + 1)
        if len(data) > FILE.size:
            raise errors.Invalid(f"{path}: more than {FILE.size:,} bytes, which is the most")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Invalid(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def documents(text: str, source: str) -> list[Document]:
    """Return the documents of YAML text, without empty ones; raises InvalidFile for text that is not YAML."""
    found = []
    try:
        loader = _TextLoader(text)
        while loader.check_node():
            node = loader.get_node()
            found.append(Document(source, node, loader.construct_document(node)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise InvalidFile(
            source, [Mistake(line, "", f"not YAML: {getattr(error, 'problem', None) or error}")]
        ) from error
    return [document for document in found if document.data is not None]


def read(path: Path, model: type[M]) -> M:
    """Read a file into `model`; raises errors.Invalid as `parse` does, or for an unreadable file."""
    return parse(read_text(path), model, str(path))


def parse(text: str, model: type[M], source: str) -> M:
    """Read YAML text into `model`.

    Raises InvalidFile, whose detail has a line `source:LINE: field: what would be right` for every mistake.
    """
    return single(documents(text, source), source).into(model)


def single(found: list[Document], source: str) -> Document:
    """Return the one document of a file, or an empty document; raises InvalidFile for several documents."""
    if len(found) > 1:
        raise InvalidFile(source, [found[1].mistake((), "one YAML document is expected here, and this is the second")])
    return found[0] if found else Document(source, None, None)


def _message(error: Any) -> str:
    """Return the message of a pydantic error, without the words that are about pydantic itself."""
    if error["type"] == "extra_forbidden":
        return "unknown field"
    message = str(error["msg"])
    return (
        message.removeprefix("Value error, ") if error["type"] == "value_error" else message[:1].lower() + message[1:]
    )


class _Dumper(yaml.SafeDumper):
    """Dump text of several lines as a block, lists indented under their key, no references."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 - PyYAML's signature
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True  # every rule is readable without following a reference


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if escape_control(text, keep=_LAYOUT) != text:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def write(data: dict[str, Any], made_by: str) -> str:
    """Return generated data as YAML text whose first line names the command that made it."""
    body = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)
    # Text with control characters is in double quotes, where YAML reads the escapes that `escape_control` writes.
    return escape_control(
        f"# Made by `{made_by}`: change what it is made from, then run it again.\n{body}", keep=_LAYOUT
    )
