"""The invariants of every response, whatever the request."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from fuzz.grammar import Message
from fuzz.wire import Answer

_PROBLEM: Final = b"application/problem+json"
_LARGEST_REFUSAL: Final = 32_768
"""The largest response with a 4xx status, in bytes."""
_PARSED: Final = 1_000_000
"""The largest JSON response that is parsed, in bytes."""
_FAILING: Final = b'{"status":"failing"}\n'
"""The response of a probe under a fault on it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The violation in a response, with the same text for the same kind."""

    wrong: str = ""
    got: str = ""
    explanation: str = ""
    """Why a 5xx response is right: `injected`, `queue full`, `dependency`, `probe`."""


GOOD: Final = Verdict()


def judge(message: Message, answer: Answer) -> Verdict:
    """Return the verdict on one response."""
    if answer.status >= 500:
        return _failure(message, answer)
    if answer.status >= 400:
        return _refusal(message, answer)
    if b"x-chaos-fault" in answer.headers:  # a fault may have damaged the body
        return GOOD
    kind = answer.headers.get(b"content-type", b"")
    if kind.startswith(b"application/json") and 0 < len(answer.body) < _PARSED and _document(answer) is None:
        return Verdict("an answer that is not JSON", _show(answer))
    return GOOD


def _failure(message: Message, answer: Answer) -> Verdict:
    problem = _document(answer)
    if b"x-chaos-fault" in answer.headers:
        return Verdict(explanation="injected")
    if answer.status == 503 and answer.body == _FAILING:
        return Verdict(explanation="probe")
    if message.route.startswith("/api") and answer.status in {503, 504} and _is_problem(answer):
        return Verdict(explanation="dependency")
    if answer.status == 503 and b"chaos was stopped and the store" in answer.body:
        return Verdict(explanation="a stop that the store has not taken yet")
    if answer.status == 503 and b"retry-after" in answer.headers and b"store-unavailable" not in answer.body:
        return Verdict(explanation="queue full")
    away = "store-unavailable" in str(problem)
    return Verdict(f"{answer.status}{' by the store' if away else ''}", _show(answer))


def _refusal(message: Message, answer: Answer) -> Verdict:
    if b"x-chaos-fault" in answer.headers:
        return GOOD
    if len(answer.body) > _LARGEST_REFUSAL:
        return Verdict("a refusal of more than 32 KiB", f"{answer.status} with {len(answer.body):,} bytes")
    if message.method != "HEAD" and not _is_problem(answer):
        by = " by the parser" if answer.headers.get(b"content-type", b"").startswith(b"text/plain") else ""
        return Verdict(f"{answer.status} without a problem document{by}", _show(answer))
    return GOOD


def _is_problem(answer: Answer) -> bool:
    found = _document(answer)
    return (
        answer.headers.get(b"content-type", b"").startswith(_PROBLEM)
        and isinstance(found, dict)
        and found.get("status") == answer.status
        and all(isinstance(found.get(name), str) and found[name] for name in ("type", "title", "detail"))
    )


def _document(answer: Answer) -> Any:
    try:
        return orjson.loads(answer.body)
    except ValueError:
        return None


def _show(answer: Answer) -> str:
    kind = answer.headers.get(b"content-type", b"").decode("latin-1")
    return f"{answer.status} {kind} {answer.body[:200]!r}"
