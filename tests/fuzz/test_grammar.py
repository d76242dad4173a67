from collections.abc import Callable
from random import Random

import pytest
from fastapi.testclient import TestClient

from fuzz.grammar import Grammar, Message, pipelined
from fuzz.malformed import malformed

MakeClient = Callable[..., TestClient]


@pytest.fixture
def grammar(client: TestClient) -> Grammar:
    """Read the descriptions of the service in this tree."""
    return Grammar(client.get("/openapi.json").json(), client.get("/admin/openapi.json").json())


def drawn(grammar: Grammar, seed: int, count: int) -> list[Message]:
    """Return requests, alternating between both planes."""
    dice = Random(seed)
    return [grammar.draw(dice, control=number % 2 == 0).message() for number in range(count)]


def test_every_route_is_drawn(grammar: Grammar) -> None:
    """Every described operation is attacked. The seed is fixed, so the test is deterministic."""
    seen = {message.route for message in drawn(grammar, 1, 20_000)}
    assert {route.split()[1] for route in grammar.routes} <= seen


def test_the_same_seed_draws_the_same_bytes(grammar: Grammar) -> None:
    """A finding can be reproduced."""
    assert drawn(grammar, 7, 500) == drawn(grammar, 7, 500)
    assert drawn(grammar, 7, 500) != drawn(grammar, 8, 500)


def test_many_of_the_faults_are_accepted(grammar: Grammar, client: TestClient) -> None:
    """Accepted faults act: valid draws are accepted, except for rules that a schema cannot express."""
    dice = Random(3)
    statuses: list[int] = []
    for _ in range(200):
        statuses.append(client.post("/admin/faults", json=grammar.fault(dice)).status_code)
        client.delete("/admin/faults")
    assert statuses.count(201) > 100


def test_every_effect_is_drawn(grammar: Grammar, client: TestClient) -> None:
    """Faults that act are part of the attack."""
    dice = Random(3)
    drawn = {grammar.fault(dice)["effect"]["type"] for _ in range(1000)}
    assert drawn == {each["type"] for each in client.get("/admin/effects").json()["effects"]}


def test_requests_in_one_packet_are_whole(grammar: Grammar) -> None:
    """Each has its own response."""
    messages = drawn(grammar, 5, 3)
    joined = pipelined(messages)
    assert joined.answers == 3
    assert joined.data == b"".join(message.data for message in messages)


def test_malformed_requests_are_not_marked_as_plain(grammar: Grammar) -> None:
    """The number of responses is unknown."""
    dice = Random(9)
    assert not any(malformed(dice, grammar.draw(dice, control=True)).plain for _ in range(500))
