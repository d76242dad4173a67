"""The checked-in dashboards, and the metrics of their queries."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser as grammar

from chaosapi import assets

OURS = re.compile(r"(http|chaosapi|shop|loadtest|process|scrape_duration)_|slo:|sloth_slo_|(up|ALERTS)$")
PATHS = sorted(assets.path("dashboards").glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    """Return a dashboard."""
    board: dict[str, Any] = json.loads(path.read_text())
    return board


BOARDS = {path.stem: read(path) for path in PATHS}


def everything(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all panels and rows, those inside folded rows too."""
    return [each for panel in board["panels"] for each in (panel, *panel.get("panels", []))]


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that show numbers."""
    return [panel for panel in everything(board) if panel["type"] not in {"row", "text"}]


def variables(board: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the variables of a type."""
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def annotations(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the annotations."""
    return list(board["annotations"]["list"])


def substituted(expr: str, slo: str = "shop-availability", handlers: tuple[str, ...] = ()) -> str:
    """Put values in for the variables as Grafana does.

    A variable of many values becomes a regular expression, whose backslashes PromQL's string needs doubled. The
    shortest $__rate_interval is four times the data source's scrape interval, in the lab 5 s
    (https://grafana.com/docs/grafana/latest/datasources/prometheus/).
    """
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|\\]", r"\\\\\g<0>", handler) for handler in handlers]
    routes = ".+" if not escaped else escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    values = {
        "__rate_interval": "20s",
        "job": "chaosapi",
        "instance": ".+",
        "load": "loadtest",
        "slo": slo,
        "handler": routes,
    }
    return re.sub(r"\$(\w+)", lambda name: values[name[1]], expr)


def nodes(expr: str) -> list[grammar.Expr]:
    """Return every part of a query; raises ValueError for what is not PromQL."""
    found: list[grammar.Expr] = []
    grammar.walk(grammar.parse(expr), found.append)
    return found


def uses(expr: str) -> dict[str, set[str]]:
    """Return the metrics that a query reads, by name or regular expression, with the labels that it asks of them."""
    found: dict[str, set[str]] = {}
    for node in nodes(expr):
        if isinstance(node, grammar.VectorSelector):
            asked = {matcher.name: matcher.value for matcher in node.matchers.matchers}
            found.setdefault(node.name or asked["__name__"], set()).update(asked)
    return found


def unknown(expr: str, catalogue: Mapping[str, set[str]]) -> list[str]:
    """Return the missing metrics and labels of a query; labels that it groups by must be on one of its metrics."""
    complaints = []
    labels = set[str]()
    for metric, asked in uses(expr).items():
        # Pages name histograms as a whole.
        found = [name for name in catalogue if re.fullmatch(f"(?:{metric})(?:_bucket)?", name)]
        has = {"__name__"}.union(*(catalogue[name] for name in found))
        labels |= has
        complaints += [f"no {metric}"] if not found else [f"{metric} without {label}" for label in asked - has]
    for node in nodes(expr):
        if isinstance(node, grammar.AggregateExpr) and node.modifier and str(node.modifier).startswith("by"):
            complaints += [f"no {label} in {expr}" for label in set(node.modifier.labels) - labels]
    return complaints


def queries() -> Iterator[tuple[str, str]]:
    """Yield every query of every dashboard, with its variables put in, by where it stands."""
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", substituted(target["expr"])
        for note in annotations(board):
            yield f"{name}: {note['name']}", substituted(note["expr"])
        for variable in variables(board, "query"):
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert found, variable["query"]
            yield f"{name}: ${variable['name']}", f"count by ({found[2]}) ({substituted(found[1])})"


def separate(block: str) -> list[str]:
    """Split a block where a line is indented no more than the first: what goes on is indented further."""
    first = len(block) - len(block.lstrip(" "))
    return [each.strip() for each in re.split(rf"^ {{{first}}}(?=\S)", block, flags=re.MULTILINE) if each.strip()]


def written(text: str) -> Iterator[str]:
    """Yield the PromQL that a page of documentation names: its indented and fenced blocks, and its code spans."""
    indented = re.findall(r"(?:^ {4,}.*\n?)+", text, re.MULTILINE)
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    for candidate in (*(query for block in (*indented, *fenced) for query in separate(block)), *spans):
        try:
            found = uses(candidate)
        except ValueError:
            continue
        if found and all(OURS.match(metric) for metric in found):
            yield candidate
