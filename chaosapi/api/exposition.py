"""Expose metrics; negotiate the format from the scraper's Accept header, as Prometheus does."""

import re
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Final, NamedTuple

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from chaosapi.api.descriptions import Responses
from chaosapi.runtime.pool import CoalescedWork

_OPENMETRICS: Final = "application/openmetrics-text"
_TEXT: Final = "text/plain"
_KNOWN: Final = {
    (_OPENMETRICS, ""): _OPENMETRICS,
    **dict.fromkeys([(_OPENMETRICS, "1.0.0"), (_OPENMETRICS, "1.0")], f"{_OPENMETRICS};version=1.0.0"),
    **dict.fromkeys([(_TEXT, "1.0.0"), (_TEXT, "1.0")], f"{_TEXT};version=1.0.0"),
    **dict.fromkeys([(_TEXT, "0.0.4"), (_TEXT, ""), ("text/*", ""), ("*/*", "")], _TEXT),
}
"""prometheus_client's name for each known format, by media type and version."""
_ESCAPING: Final = ("allow-utf-8", "underscores", "dots", "values")
_QUALITY: Final = re.compile(r"[01](\.[0-9]{0,3})?", re.ASCII)
_MAX_PARSED: Final = 32
"""Entries of an Accept header, and parameters of an entry, that are parsed; the rest are ignored."""


class _Entry(NamedTuple):
    """One entry of an Accept header whose format is known."""

    format: str
    quality: float
    exact: bool
    """Whether it has no wildcard."""


def _formats() -> tuple[dict[str, str], dict[str, Callable[[Collector], bytes]]]:
    formats = list(dict.fromkeys(_KNOWN.values()))
    versioned = [each for each in formats if "version" in each]
    formats += [f"{each};escaping={escaping}" for each, escaping in product(versioned, _ESCAPING)]
    encoders = {each: choose_encoder(each) for each in formats}
    content_types = {each: content_type for each, (_, content_type) in encoders.items()}
    return content_types, {content_type: encode for encode, content_type in encoders.values()}


_CONTENT_TYPES, ENCODERS = _formats()
"""The encoder of each format, by content type. The set is closed: a client's header must not add to a cache."""


TEXT: Final[Responses] = {200: {"content": {"text/plain": {}}}}
"""How the API docs describe an exposition."""


class Exposition:
    """Answers scrapes: those that come at the same time share one text."""

    def __init__(self, encode: Callable[[Callable[[Collector], bytes]], bytes]) -> None:
        """`encode` returns the text of the metrics with the encoder of a format."""
        self._texts = {
            content_type: CoalescedWork(partial(encode, encoder)) for content_type, encoder in ENCODERS.items()
        }

    async def answer(self, request: Request) -> Response:
        """Expose the metrics in the format that the scraper prefers."""
        chosen = content_type(",".join(request.headers.getlist("accept")))
        return Response(await self._texts[chosen](), media_type=chosen)


def content_type(accept: str) -> str:
    """Return the content type for an Accept header; the text format's if the header names no known format."""
    entries = map(_parse_entry, accept.lower().split(",", _MAX_PARSED)[:_MAX_PARSED])
    acceptable = [entry for entry in entries if entry and entry.quality > 0]
    best = max(acceptable, key=lambda entry: (entry.quality, entry.exact), default=None)
    return _CONTENT_TYPES[best.format if best else _TEXT]


def _parse_entry(text: str) -> _Entry | None:
    media, *parts = text.split(";", _MAX_PARSED)[:_MAX_PARSED]
    pairs = (part.partition("=") for part in parts)
    parameters = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
    media = media.strip()
    known = _KNOWN.get((media, parameters.get("version", "")))
    if known is None:
        return None
    quality = parameters.get("q", "")
    escaping = parameters.get("escaping")
    if "version" in known and escaping in _ESCAPING:
        known = f"{known};escaping={escaping}"
    return _Entry(known, float(quality) if _QUALITY.fullmatch(quality) else 1.0, "*" not in media)
