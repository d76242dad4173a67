"""The runbooks, as read by a person on call."""

import re
from pathlib import Path

import pytest

from chaosapi import assets
from chaosapi.slo import promql
from tests.dashboards.boards import separate

FOLDER = assets.path("alerts") / "runbooks"
PAGES = sorted(FOLDER.glob("*.md"))
_SHELL = ("curl", "chaosapi ", "redis-cli", "ls ")


def queries(text: str) -> list[str]:
    """Take out the indented blocks; a line that begins with a word for the shell is none of PromQL's."""
    blocks = re.findall(r"(?:^ {4,}\S.*\n)+", text, re.MULTILINE)
    return [query for block in blocks for query in separate(block) if not query.startswith(_SHELL)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_has_its_sections_in_order(page: Path) -> None:
    """Meaning; the first five minutes in five steps; similar symptoms; when it resolves. No link is dead."""
    text = page.read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "The first five minutes",
        "Similar symptoms",
        *(["How much budget is left"] if page.stem == "ErrorBudgetBurn" else []),
        "When it resolves",
    ]
    steps = text.split("## Similar")[0]
    assert re.findall(r"^(\d)\. \*\*", steps, re.MULTILINE) == list("12345")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not (FOLDER / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_queries_of_runbooks_are_valid_promql(page: Path) -> None:
    """Every query parses."""
    asked = queries(page.read_text())
    assert asked
    for query in asked:
        promql.check(query)
