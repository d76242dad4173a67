"""Terminal output: untrusted text is shown and never interpreted."""

from collections.abc import Iterable
from typing import Any, Final

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from chaosapi.text import escape_control

_LAYOUT: Final = "\n\t"


class Terminal(Console):
    r"""Rich's console without markup, emoji codes and highlighting; control characters are escaped, as in \x1b.

    Only Text and Style make styles, so that names, reasons and labels can be printed as they are, in tables too.
    `options` are those of Rich's console, such as its file and width.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a Text; control characters are escaped before the text is measured."""
        return super().render_str(escape_control(text, keep=_LAYOUT), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield segments; this escapes a Text that was not made by `styled`."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_control(segment.text, keep=_LAYOUT), segment.style)

    def print_json(self, json: str | None = None, **options: Any) -> None:
        r"""Print JSON in ASCII: other characters are escaped, as in \u202e."""
        super().print_json(json, **{"ensure_ascii": True, **options})


def styled(text: str, style: str = "") -> Text:
    """Return untrusted text in a style; it is escaped here, so that tables measure the text that they show."""
    return Text(escape_control(text, keep=_LAYOUT), style)


def echo(text: str, *, err: bool = False) -> None:
    """Print lines to standard output or standard error."""
    typer.echo(escape_control(text, keep=_LAYOUT), err=err)


def print_error(trouble: object) -> None:
    """Print on standard error why a command failed."""
    echo(f"chaosapi: {trouble}", err=True)
