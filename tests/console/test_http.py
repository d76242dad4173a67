import asyncio
from typing import Any

import httpx2
import pytest

from chaosapi.console.errors import Silent
from chaosapi.console.http import asked


def answer(text: str) -> Any:
    """Ask a source that answers so."""

    async def ask() -> Any:
        transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text=text))
        async with httpx2.AsyncClient(transport=transport, base_url="http://source") as http:
            return await asked(http, "GET", "/")

    return asyncio.run(ask())


def test_a_lone_surrogate_does_not_blind_the_page() -> None:
    """No page can be sent one; a pair is a character."""
    found = answer(r'{"a\ud800": ["\uD83D\uDE00", "x\uDFFFy"]}')
    assert found == {"a?": ["\U0001f600", "x?y"]}


def test_what_is_too_deep_to_be_read_is_trouble_of_its_source() -> None:
    """And not of the whole console."""
    with pytest.raises(Silent):
        answer("[" * 200_000)
