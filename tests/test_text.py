import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosapi.text import escape_control, is_plain, strip_control


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x7f", "\x9b", "\u200b", "\u202e", "\u2066", "\u2028", "\ud800"]
)
def test_control_characters_are_stripped_or_escaped(character: str) -> None:
    """Control characters, bidirectional formats, invisible characters, line ends, surrogates."""
    assert strip_control(f"a{character}b") == "ab"
    assert escape_control(f"a{character}b") == f"a{character.encode('unicode_escape', 'surrogatepass').decode()}b"


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])))
def test_other_text_is_unchanged(text: str) -> None:
    """In all languages."""
    assert strip_control(text) == escape_control(text) == text


@given(st.text())
def test_stripped_text_has_no_control_characters(text: str) -> None:
    """For any input; idempotent."""
    shown = escape_control(text, keep="\n")
    assert all(is_plain(each) for each in shown if each != "\n")
    assert escape_control(shown, keep="\n") == shown
