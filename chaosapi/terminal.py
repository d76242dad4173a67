"""Text on a terminal is only text: what others wrote is shown and never obeyed."""

from collections.abc import Iterable
from typing import Any, Final

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from chaosapi.text import escape_control

_LAYOUT: Final = "\n\t"


class Terminal(Console):
    r"""Rich's console without markup, emoji codes and highlighting; control characters are written out, as in \x1b.

    Styles come from Text and Style alone, so names, reasons and labels can be printed as they are, in tables too.
    `options` are those of Rich's console: where it writes, and how wide it is.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a Text of a string; strings are written out here, before they are measured."""
        return super().render_str(escape_control(text, keep=_LAYOUT), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render; a Text that was not made by `styled` is written out here."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_control(segment.text, keep=_LAYOUT), segment.style)

    def print_json(self, json: str | None = None, **options: Any) -> None:
        r"""Print JSON in ASCII: whatever is not is escaped, as in \u202e, and reads back the same."""
        super().print_json(json, **{"ensure_ascii": True, **options})


def styled(text: str, style: str = "") -> Text:
    """Return what others wrote in a style: written out here, so that tables measure what will be shown."""
    return Text(escape_control(text, keep=_LAYOUT), style)


def echo(text: str, *, err: bool = False) -> None:
    """Print lines to standard output or standard error."""
    typer.echo(escape_control(text, keep=_LAYOUT), err=err)


def print_error(trouble: object) -> None:
    """Say on standard error why a command cannot go on."""
    echo(f"chaosapi: {trouble}", err=True)
