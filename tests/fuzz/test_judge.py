import json
from typing import Any

import pytest

from fuzz.grammar import Message
from fuzz.judge import judge
from fuzz.wire import Answer

ADMIN = Message(b"", "GET", "/admin/faults", control=True)
SHOP = Message(b"", "GET", "/api/products", control=False)
PROBE = Message(b"", "GET", "/healthz", control=False)


def answer(status: int, body: Any, kind: str = "application/problem+json", **headers: str) -> Answer:
    """Return an answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    own = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Answer(status, {b"content-type": kind.encode(), **own}, content)


def problem(status: int, kind: str = "about:blank") -> dict[str, Any]:
    """Return a problem document."""
    return {"type": kind, "title": "Wrong", "status": status, "detail": "because"}


@pytest.mark.parametrize(
    ("message", "given"),
    [
        (ADMIN, answer(200, {"faults": []}, "application/json")),
        (ADMIN, answer(422, problem(422))),
        (SHOP, answer(500, b"Internal Server Error", "text/plain", x_chaos_fault="f")),
        (SHOP, answer(503, problem(503))),
        (PROBE, answer(503, b'{"status":"failing"}\n', "application/json")),
        (ADMIN, answer(503, problem(503), retry_after="1")),
    ],
)
def test_valid_responses_have_no_finding(message: Message, given: Answer) -> None:
    """Injected failures, refusals with a reason, and probes failed by a fault are not findings."""
    assert not judge(message, given).wrong


@pytest.mark.parametrize(
    ("message", "given", "wrong"),
    [
        (ADMIN, answer(500, problem(500)), "500"),
        (SHOP, answer(500, b"Internal Server Error", "text/plain"), "500"),
        (ADMIN, answer(503, problem(503, "urn:chaosapi:problem:store-unavailable"), retry_after="1"), "by the store"),
        (ADMIN, answer(400, b"Invalid HTTP request received.", "text/plain"), "by the parser"),
        (ADMIN, answer(404, problem(403)), "without a problem document"),
        (ADMIN, answer(422, problem(422) | {"errors": ["x" * 40_000]}), "32 KiB"),
        (ADMIN, answer(200, b'{"rate": NaN}', "application/json"), "not JSON"),
    ],
)
def test_wrong_responses_have_a_finding(message: Message, given: Answer, wrong: str) -> None:
    """The text differs by kind."""
    assert wrong in judge(message, given).wrong
