"""The tutorial's own commands in a real lab, with its alerts and answers checked."""

import re
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.docs import page
from tests.docs.page import Block, Query, Row
from tests.docs.reader import Reader
from tests.lab.conftest import PORT_OPTIONS, free_ports

sys.path.append(str(page.DOCS.parent / "scripts"))
import night

NAME = "tutorial.md"
TEXT = (page.DOCS / NAME).read_text(encoding="utf-8")
SECTIONS = page.sections(NAME)
ANSWERS = page.rows(NAME)
START, *INCIDENTS, CLEAN_UP = SECTIONS
SLOW_BURN = INCIDENTS[-1]
STARTS = ("make lab ", "python scripts/night.py", ". .venv/bin/activate")
"""What the fixture does in the reader's place."""
CALM = Query(0, "Does no page fire?", 'count(ALERTS{severity="page", alertstate="firing"}) or vector(0)')
END = Block("", "")


@pytest.fixture(scope="module")
def reader(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Yield a reader in the lab of the last incident, whose past the script has written."""
    assert SECTIONS[START][0].text == 'make lab ARGS="--rate 20"\n'
    folder = tmp_path_factory.mktemp("lab")
    ports = dict(zip(PORT_OPTIONS, free_ports(), strict=True))
    night.write(folder / "prometheus", f"127.0.0.1:{ports['--port']}", tools["promtool"])
    someone = Reader(ports)
    with someone.lab(folder):
        yield someone


# The slow burn comes first: its past is the only one that this lab has.
@pytest.mark.slow
@pytest.mark.parametrize("incident", [SLOW_BURN, *INCIDENTS[:-1]])
def test_incident(incident: str, reader: Reader) -> None:
    """The fault causes the documented alerts and answers, which did not hold before; commands print what is shown."""
    blocks = [block for block in SECTIONS[incident] if not block.text.startswith(STARTS)]
    first = next(block.queries for block in blocks if block.queries)
    expected: dict[Query, list[Row]] = {
        query: [row for row in ANSWERS[incident] if row.number == query.number] for query in first
    }
    now = time.time()
    before = {query: reader.samples(query.expr, now) for query in first}
    assert not all(page.answers(expected[query], samples) for query, samples in before.items())
    printed = ""
    for block, following in pairwise([*blocks, END]):
        if block.language == "alert":
            reader.is_notified(block, now)
        elif block.language == "promql":
            reader.sees(expected if block.queries == first else {query: [] for query in block.queries})
        elif block.language == "text":
            assert set(block.text.splitlines()) <= set(map(str.rstrip, printed.splitlines()))
        else:
            printed = reader.types(block)
        if "score" in following.text:  # the score of an incident that is over
            reader.sees({CALM: [Row(0, frozenset(), 0, 0)]})


@pytest.mark.slow
def test_clean_up(reader: Reader) -> None:
    """Nothing is left of the incidents but tickets."""
    for block in SECTIONS[CLEAN_UP]:
        reader.types(block)
    reader.sees({CALM: [Row(0, frozenset(), 0, 0)]})


def test_each_incident_starts_with_the_symptom() -> None:
    """First a command that does not say what it does, and only in the folded answer the rows of the table."""
    assert len(INCIDENTS) == 4
    for incident in INCIDENTS:
        number = incident[0]
        assert f"chaosapi fault add --file docs/incidents/{number}.yml > /dev/null\n" in [
            block.text for block in SECTIONS[incident]
        ]
        assert ANSWERS[incident]
        text = TEXT[TEXT.index(f"## {incident}") :]
        start, notice, ask, fold, act = map(
            text.index, ("chaosapi fault add", "**What you notice.**", "**Ask.**", "<details>", "**Act.**")
        )
        assert start < notice < ask < fold < text.index("| query |") < text.index("</details>") < act


def test_no_command_before_the_answer_names_the_fault() -> None:
    """The files have neutral names, which are all that a status line shows of them."""
    for number in range(1, 5):
        fault = yaml.safe_load((page.DOCS / "incidents" / f"{number}.yml").read_text())
        assert fault["name"] == f"incident-{number}"


@pytest.mark.parametrize("term", ["burn rate", "window pair", "inhibition", "error budget"])
def test_each_term_is_introduced_where_it_is_needed_first(term: str) -> None:
    """In bold or italics in the first incident, and the glossary has it."""
    first = TEXT[TEXT.index(f"## {INCIDENTS[0]}") : TEXT.index(f"## {INCIDENTS[1]}")]
    assert re.search(rf"\*{term}s?\.?\*", first, re.IGNORECASE)
    assert f"**{term}" in (page.DOCS / "glossary.md").read_text(encoding="utf-8")
