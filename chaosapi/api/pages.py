"""How large answers are written: outside the event loop, so that nobody else waits for it, and a page at a time."""

import json
from collections.abc import Callable, Iterable
from typing import Final, TypeVar
from urllib.parse import urlencode

from fastapi import Response
from pydantic import BaseModel

PAGE: Final = 2**20
"""Characters after which a page ends; its last item is written in full."""

T = TypeVar("T")


class Page:
    """Items of a list as JSON: at most `limit`, and none that begins beyond the page's end."""

    def __init__(self, limit: int) -> None:
        self.texts: list[str] = []
        self._limit = limit
        self._size = 0

    @property
    def full(self) -> bool:
        """Whether there is no room for another item."""
        return len(self.texts) == self._limit or self._size >= PAGE

    def fill(self, items: Iterable[T], write: Callable[[T], str]) -> None:
        """Write items until the page is full; call it in a thread, where each item is a turn of its own."""
        for item in items:
            if self.full:
                return
            self.texts.append(write(item))
            self._size += len(self.texts[-1])


def json_response(answer: BaseModel) -> Response:
    """Write an answer as JSON; call it in a thread. FastAPI would write it in the event loop."""
    return _json(answer.model_dump_json(by_alias=True))


def list_response(fields: BaseModel, name: str, texts: Iterable[str]) -> Response:
    """Write an answer whose empty list of this name is to have these items."""
    head = fields.model_dump_json(exclude={name})
    items = f"{json.dumps(name)}:[{','.join(texts)}]"
    return _json(f"{head[:-1]},{items}}}" if len(head) > 2 else f"{{{items}}}")


def next_page(**query: object) -> str:
    """Return the reference of the next page, relative to the request's URL (RFC 3986, 4.2)."""
    return "?" + urlencode({name: value for name, value in query.items() if value is not None})


def _json(text: str) -> Response:
    return Response(text.encode(), media_type="application/json")
