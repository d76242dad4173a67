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
    """Return a table with the text in every place."""
    made = Table(text, title=text, caption=text)
    made.add_row(text)
    made.add_row(Text(text, "bold"))
    inner = Table.grid()
    inner.add_row(text)
    made.add_row(inner)
    return made


def printed(renderable: RenderableType, **options: bool) -> str:
    """Return the output on a terminal."""
    out = io.StringIO()
    Terminal(file=out, width=10_000, **options).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize("renderable", [HOSTILE, Text(HOSTILE), table(HOSTILE)], ids=["string", "text", "table"])
@pytest.mark.parametrize("watched", [True, False])
def test_foreign_text_is_shown_literally(renderable: RenderableType, watched: bool) -> None:  # noqa: FBT001 - a parameter of the test
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
    """With any characters; only newlines are kept."""
    out = printed(text)
    assert all(is_plain(each) for each in out if each != "\n")


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_round_trips_without_control_characters(content: object) -> None:
    """They are escaped as in JSON."""
    out = io.StringIO()
    Terminal(file=out).print_json(data=content)
    assert json.loads(out.getvalue()) == content
    assert out.getvalue().isascii()


def test_styled_text_is_measured_by_its_visible_width() -> None:
    """It is not truncated in a table with enough space."""
    grid = Table.grid()
    grid.add_row(styled(HOSTILE, "red"))
    assert SHOWN in printed(grid)
