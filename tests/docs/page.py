"""A page of the docs as a list of commands, queries and expectations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_QUERY = re.compile(r"# (\d+)\. ([^\n]+)\n([^#].+)", re.DOTALL)
_ROW = re.compile(r"^\| (\d+) \| ([^|]*)\| ([\d.]+)(?: to ([\d.]+))? \|$", re.MULTILINE)
_LABEL = re.compile(r"`([^`]+)`")

Sample = tuple[Mapping[str, str], float]
"""The labels and the value of one series."""


@dataclass(frozen=True)
class Query:
    """A query to paste: its number, its question and the expression."""

    number: int
    question: str
    expr: str


@dataclass(frozen=True)
class Row:
    """A row of a table of answers: a query's number, label values that identify a series, the range of its value."""

    number: int
    labels: frozenset[str]
    low: float
    high: float

    def describes(self, sample: Sample) -> bool:
        """Return whether a series is the one of this row, with a value in its range."""
        labels, value = sample
        return self.labels <= set(labels.values()) and self.low <= value <= self.high


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def queries(self) -> list[Query]:
        """Its queries, with blank lines between, each under a comment with its number and its question."""
        found = [_QUERY.fullmatch(text) for text in self.text.strip().split("\n\n") if self.language == "promql"]
        assert all(found), f"each query needs a comment such as '# 1. How many fail?': {self.text}"
        return [Query(int(each[1]), each[2], each[3]) for each in found if each]


def answers(rows: Sequence[Row], samples: Sequence[Sample]) -> bool:
    """Return whether a query's samples are what its rows say, series by series; without rows, whether there are any."""
    if not rows:
        return bool(samples)
    return len(samples) == len(rows) and all(any(row.describes(sample) for sample in samples) for row in rows)


def sections(name: str) -> dict[str, list[Block]]:
    """Return the fenced blocks of each section of a page, by its heading."""
    return {title: [Block(*found) for found in _FENCE.findall(text)] for title, text in _split(name).items()}


def rows(name: str) -> dict[str, list[Row]]:
    """Return the rows of the tables of answers in each section of a page, by its heading."""
    return {
        title: [
            Row(int(number), frozenset(_LABEL.findall(labels)), float(low), float(high or low))
            for number, labels, low, high in _ROW.findall(text)
        ]
        for title, text in _split(name).items()
    }


def _split(name: str) -> dict[str, str]:
    _, *parts = _SECTION.split((DOCS / name).read_text(encoding="utf-8"))
    return dict(zip(parts[::2], parts[1::2], strict=True))
