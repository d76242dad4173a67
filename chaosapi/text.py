"""Text from elsewhere: which characters only show, and which steer the terminal or the reader's eye."""

import unicodedata
from typing import Final

_STEERING: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's general categories of controls, formats (bidirectional ones too), surrogates, no characters, line ends."""


def is_plain(character: str) -> bool:
    """Tell whether a character only shows itself."""
    return character.isprintable() or unicodedata.category(character) not in _STEERING


def strip_control(text: str) -> str:
    """Return a text without the characters that steer."""
    return "".join(filter(is_plain, text))


def escape_control(text: str, keep: str = "") -> str:
    r"""Return a text with the characters that steer written out, such as \x1b, but for those to keep."""
    return "".join(
        each if is_plain(each) or each in keep else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in text
    )
