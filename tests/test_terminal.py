import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from chaosapi.terminal import Terminal, styled
from chaosapi.text import is_plain

HOSTILE = (
    "[/nope][bold red]x[/][link=http://evil.example]y :smile: \x1b[2J\x1b]8;;http://evil.example\x1b\\z\u202e\x9b31m"
)
SHOWN = (
    r"[/nope][bold red]x[/][link=http://evil.example]y :smile: \x1b[2J\x1b]8;;http://evil.example\x1b\z\u202e\x9b31m"
)


def table(text: str) -> Table:
    """Put a text wherever a table takes one."""
    made = Table(text, title=text, caption=text)
    made.add_row(text)
    made.add_row(Text(text, "bold"))
    inner = Table.grid()
    inner.add_row(text)
    made.add_row(inner)
    return made


def printed(renderable: RenderableType, **options: bool) -> str:
    """Return what a terminal gets."""
    out = io.StringIO()
    Terminal(file=out, width=10_000, **options).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize("renderable", [HOSTILE, Text(HOSTILE), table(HOSTILE)], ids=["string", "text", "table"])
@pytest.mark.parametrize("watched", [True, False])
def test_what_others_wrote_is_shown_and_not_obeyed(renderable: RenderableType, watched: bool) -> None:  # noqa: FBT001
    """Markup, emoji codes, escapes, links and bidirectional marks, in every place."""
    out = printed(renderable, force_terminal=watched)
    assert SHOWN in out
    assert not set(out) & {"\u202e", "\x9b"}
    assert "\x1b]" not in out
    assert "\x1b[2J" not in out
    if not watched:
        assert all(is_plain(each) for each in out if each != "\n")


@given(st.text())
def test_any_text_can_be_printed(text: str) -> None:
    """Whatever is in it; only line ends pass."""
    out = printed(text)
    assert all(is_plain(each) for each in out if each != "\n")


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_reads_back_the_same_and_holds_no_character_that_steers(content: object) -> None:
    """It is escaped as JSON does it."""
    out = io.StringIO()
    Terminal(file=out).print_json(data=content)
    assert json.loads(out.getvalue()) == content
    assert out.getvalue().isascii()


def test_what_is_styled_is_measured_as_it_is_shown() -> None:
    """Nothing of it is cut off in a table that has room for it."""
    grid = Table.grid()
    grid.add_row(styled(HOSTILE, "red"))
    assert SHOWN in printed(grid)
