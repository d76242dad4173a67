"""Untrusted text: remove or escape control characters, which change a terminal or the direction of text."""

import unicodedata
from typing import Final

_CONTROL_CATEGORIES: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories: controls, formats (with bidirectional ones), surrogates, private and unassigned, line ends."""


def is_plain(character: str) -> bool:
    """Return whether a character is no control character."""
    return character.isprintable() or unicodedata.category(character) not in _CONTROL_CATEGORIES


def strip_control(text: str) -> str:
    """Return a text without control characters."""
    return "".join(filter(is_plain, text))


def escape_control(text: str, keep: str = "") -> str:
    r"""Return a text with control characters escaped, such as \x1b, except those to keep."""
    if text.isprintable():
        return text
    return "".join(
        each if is_plain(each) or each in keep else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in text
    )


def count_noun(number: int, noun: str) -> str:
    """Return a number with its noun, singular or plural."""
    return f"{number} {noun}{'s' * (number != 1)}"
