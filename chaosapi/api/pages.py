"""Serialize large responses page by page, in a thread, so that the event loop is not blocked."""

import json
from collections.abc import Callable, Iterable
from typing import Final, TypeVar
from urllib.parse import urlencode

from fastapi import Response
from pydantic import BaseModel

PAGE: Final = 2**20
"""Characters after which a page ends; its last item is complete."""

T = TypeVar("T")


class Page:
    """Items of a list as JSON: at most `limit`, and at most PAGE characters before the last item."""

    def __init__(self, limit: int) -> None:
        self.texts: list[str] = []
        self._limit = limit
        self._size = 0

    @property
    def full(self) -> bool:
        """Return whether the page has no room for another item."""
        return len(self.texts) == self._limit or self._size >= PAGE

    def fill(self, items: Iterable[T], write: Callable[[T], str]) -> None:
        """Add items until the page is full; call this in a thread, which other threads can interrupt between items."""
        for item in items:
            if self.full:
                return
            self.texts.append(write(item))
            self._size += len(self.texts[-1])


def json_response(answer: BaseModel) -> Response:
    """Return the JSON response of a model; call this in a thread, because FastAPI would use the event loop."""
    return _json(answer.model_dump_json(by_alias=True))


def list_response(fields: BaseModel, name: str, texts: Iterable[str]) -> Response:
    """Return the JSON response of a model whose empty list `name` is replaced by these serialized items."""
    head = fields.model_dump_json(exclude={name})
    items = f"{json.dumps(name)}:[{','.join(texts)}]"
    return _json(f"{head[:-1]},{items}}}" if len(head) > 2 else f"{{{items}}}")


def next_page(**query: object) -> str:
    """Return the URL of the next page, relative to the request's URL (RFC 3986, 4.2)."""
    return "?" + urlencode({name: value for name, value in query.items() if value is not None})


def _json(text: str) -> Response:
    return Response(text.encode(), media_type="application/json")
