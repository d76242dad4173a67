"""A page of the docs as a list of commands and expectations."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_QUERY = re.compile(r"# ([^\n]+)\. (?:Before: ([^;\n]+); now|Now): ([^;\n]+)\n([^#].+)", re.DOTALL)
_CONDITION = re.compile(r"(<|>|==) ([\d.]+)")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, ">": operator.gt, "==": operator.eq}


@dataclass(frozen=True)
class Query:
    """A query to paste: its description, and conditions (`> 0.3`) on its value before and with the fault."""

    says: str
    before: str
    now: str
    expr: str


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def queries(self) -> list[Query]:
        """Its queries, with blank lines between, each under a comment that says what to expect."""
        found = [_QUERY.fullmatch(text) for text in self.text.strip().split("\n\n") if self.language == "promql"]
        assert all(found), f"each query needs a comment such as '# Errors. Before: == 0; now: > 0.3': {self.text}"
        return [Query(*each.groups("")) for each in found if each]


def holds(condition: str, value: float) -> bool:
    """Return whether a value meets a condition."""
    found = _CONDITION.fullmatch(condition)
    assert found, f"{condition!r} is no condition such as > 0.3"
    return _COMPARISONS[found[1]](value, float(found[2]))


def sections(name: str) -> dict[str, list[Block]]:
    """Return the fenced blocks of each section of a page, by its heading."""
    _, *parts = _SECTION.split((DOCS / name).read_text(encoding="utf-8"))
    texts = zip(parts[::2], parts[1::2], strict=True)
    return {title: [Block(*found) for found in _FENCE.findall(text)] for title, text in texts}
