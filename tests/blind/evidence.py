"""Collects all that a visitor's and an operator's token can read of a service, without the values of its indicators."""

import json
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response
from prometheus_client.parser import text_string_to_metric_families

from chaosapi.access import Role
from chaosapi.api.roles import ROUTES
from chaosapi.shop import failure_detail
from chaosapi.telemetry import tracebacks
from tests.captured import captured

OPERATOR = "secret-operator"
INSTRUCTOR = "secret-instructor"
VISITS = {
    "/api/products": "/api/products",
    "/api/products/{product_id}": "/api/products/p-0001",
    "/api/search": "/api/search?q=a",
}
"""What a visitor asks for, by the template of the route."""
_CHANGING_HEADERS = {"x-request-id", "date", "content-length"}


@dataclass
class Evidence:
    """Facts that must be the same with and without a fault, and every text that was read."""

    series: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)
    log: set[str] = field(default_factory=set)
    admin: set[str] = field(default_factory=set)
    frames: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)

    def differences(self, other: "Evidence") -> set[str]:
        """Return the facts that only one of the two has."""
        names = ("series", "answers", "errors", "log", "admin", "frames")
        return {f"{name}: {fact}" for name in names for fact in getattr(self, name) ^ getattr(other, name)}

    def mentions(self, words: set[str]) -> set[str]:
        """Return those of the words that some text has."""
        return {word for word in words for text in self.texts if word in text}


def collect(client: TestClient, requests: int = 40) -> Evidence:
    """Send requests of visitors, and then read all that an operator may."""
    evidence = Evidence()
    with captured() as lines:
        for number in range(requests):
            for route, path in VISITS.items():
                _visit(client, route, path, f"r-{number}", evidence)
        for path in ("/api/nothing", "/admin/faults", "/openapi.json", "/admin/openapi.json", "/readyz"):
            _note(evidence.admin, evidence, path, client.get(path))
        _scrape(client, evidence)
        for route in ROUTES:
            _ask(client, route, evidence)
    for line in lines:
        evidence.texts.append(json.dumps(line, default=str))
        evidence.log.add(f"{line['event']} {sorted(line.keys() - {'request_id'})}")
    return evidence


def _visit(client: TestClient, route: str, path: str, request_id: str, evidence: Evidence) -> None:
    try:
        answer = client.get(path, headers={"x-request-id": request_id})
    except Exception as error:  # noqa: BLE001 - as the server would log it
        frames = traceback.extract_tb(tracebacks.stripped(error.__traceback__))
        own = [frame.filename for frame in frames if "/chaosapi/" in frame.filename]
        evidence.frames |= {name for name in own if "/injection/" in name or "/effects/" in name or "inner.py" in name}
        if type(error).__module__ != "builtins":
            evidence.frames.add(type(error).__qualname__)
        evidence.texts.append(repr(error))
        return
    evidence.texts.append(answer.text)
    headers = sorted(set(answer.headers) - _CHANGING_HEADERS)
    if answer.status_code < 400:
        evidence.answers.add(f"{route} {answer.status_code} {headers} {_shape(answer.json())}")
        return
    # That there are failures is what the indicators say; how they look must be how the shop's own look.
    as_the_shop = {
        "type": "about:blank",
        "title": answer.json().get("title"),
        "status": answer.status_code,
        "detail": failure_detail(route, answer.status_code),
    }
    if answer.json() != as_the_shop or headers != ["content-type"]:
        evidence.errors.add(f"{route} {headers} {answer.text}")


def _scrape(client: TestClient, evidence: Evidence) -> None:
    text = client.get("/metrics").text
    evidence.texts.append(text)
    for family in text_string_to_metric_families(text):
        evidence.series.add(family.name)
        for sample in family.samples:
            evidence.series.add(f"{sample.name}{sorted(sample.labels.items())}")


def _ask(client: TestClient, route: str, evidence: Evidence) -> None:
    """Ask with an operator's token; of a route that it may use the whole answer is noted, of others the refusal."""
    method, _, path = route.partition(" ")
    if ROUTES[route] is Role.PUBLIC or method not in {"GET", "POST", "DELETE"}:
        return
    asked = path.replace("{name}", "cause").replace("{token_id}", "0123abcd")
    answer = client.request(method, asked, headers={"authorization": f"Bearer {OPERATOR}"})
    _note(evidence.admin, evidence, route, answer)


def _note(facts: set[str], evidence: Evidence, what: str, answer: Response) -> None:
    facts.add(f"{what} {answer.status_code} {sorted(set(answer.headers) - _CHANGING_HEADERS)} {answer.text}")
    if what not in {
        "/openapi.json",
        "/admin/openapi.json",
    }:  # open by design: shared knowledge of what effects there are
        evidence.texts.append(f"{answer.text} {dict(answer.headers)}")


def _shape(value: Any) -> Any:
    """Return a JSON value with the types of its leaves in their place; of a list the kinds of its items."""
    if isinstance(value, Mapping):
        return {name: _shape(each) for name, each in sorted(value.items())}
    if isinstance(value, list):
        return sorted({str(_shape(each)) for each in value})
    return type(value).__name__


def forbidden(fault: Mapping[str, Any]) -> Iterator[str]:
    """Yield what no text may have: the fault's name and seed, and the words of the injection."""
    yield fault["name"]
    yield str(fault["seed"])
    yield from ("chaos-fault", "inject", "chaosapi_fault")
