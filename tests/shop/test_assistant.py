"""The assistant: its answers, and their stream."""

import asyncio
import json

import pytest
from fastapi.testclient import TestClient

from chaosapi.shop import assistant
from chaosapi.shop.backends import SearchIndex
from chaosapi.shop.catalogue import PRODUCTS


def answer(question: str) -> str:
    return assistant.answer(SearchIndex().related(PRODUCTS, assistant.words(question)))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Do you have an oak lamp?", "One product fits: Oak lamp for $84.19."),
        ("A LAMP, please", "10 products fit: Oak lamp for $84.19, Steel lamp"),
        ("What is the meaning of life?", "Nothing in the shop fits."),
    ],
)
def test_a_question_has_one_answer(question: str, text: str) -> None:
    """It names the products with the most words of the question."""
    assert answer(question).startswith(text)


def test_the_tokens_are_the_text_and_the_last_event_counts_them() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def story() -> None:
        sent = [event async for event in assistant.events("One product fits.", sleep)]
        assert "".join(event.data["token"] for event in sent[:-1]) == "One product fits."
        assert (sent[-1].event, sent[-1].data) == ("done", {"tokens": 3})

    asyncio.run(story())
    assert pauses == [assistant.PACE_S] * 3


def test_the_longest_answer_is_within_the_latency_objective() -> None:
    """250 ms for 99 %, with half of it to spare."""
    longest = max((answer(word) for word in ("oak", "lamp", "nothing at all")), key=lambda text: len(text.split()))
    assert len(longest.split()) * assistant.PACE_S <= 0.125


def test_an_answer_is_streamed(client: TestClient) -> None:
    """As server-sent events, not to be kept or buffered on the way."""
    with client.stream("POST", "/api/assistant", json={"question": "an oak lamp?"}) as response:
        lines = [line for line in response.iter_lines() if line.startswith(("data", "event"))]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert json.loads(lines[0].removeprefix("data: ")) == {"token": "One"}
    assert lines[-2] == "event: done"


def test_without_its_search_index_the_assistant_fails_before_it_answers(client: TestClient) -> None:
    """With a status that says so, instead of an empty stream."""
    fault = {"effect": {"type": "error"}, "target": {"points": ["search-index"]}}
    client.put("/admin/faults/f", json=fault).raise_for_status()
    assert client.post("/api/assistant", json={"question": "oak?"}).status_code == 503
