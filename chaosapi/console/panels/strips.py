"""States over time as strips of HTML, and the legend of their patterns."""

import html
from collections.abc import Mapping
from typing import Final

from chaosapi.console.states import Band, BandState

_WORDS: Final[Mapping[BandState, str]] = {
    "fault": "fault acts",
    "page": "page fires",
    "firing": "ticket fires",
    "pending": "pending",
    "silenced": "silenced",
    "inhibited": "inhibited",
}


def strip(known: list[Band], start: float, end: float) -> str:
    """Return bands as a strip of HTML from `start` to `end`, Unix seconds."""
    pieces = []
    for band in known:
        left = max(band.start, start)
        right = min(band.end, end)
        if left < right:
            style = f"left:{(left - start) / (end - start):.2%};width:{(right - left) / (end - start):.2%}"
            pieces.append(f'<i class="{band.state}" title="{band.state}" style="min-width:2px;{style}"></i>')
    words = html.escape(", ".join(dict.fromkeys(band.state for band in known)) or "inactive")
    return f'<div class="strip" role="img" aria-label="{words}">{"".join(pieces)}</div>'


def legend(*states: BandState) -> str:
    """Return the HTML that names the patterns of these states."""
    named = "".join(f'<span><i class="key-{state}"></i>{_WORDS[state]}</span>' for state in states)
    return f'<div class="small legend">{named}</div>'
