"""Requests to every route of the service's OpenAPI documents, with valid and invalid bodies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from random import Random
from typing import Any, Final
from urllib.parse import quote

from fuzz import mutations
from fuzz.schema import Sampler

NAMES: Final = tuple(f"f{number}" for number in range(8))
EXCEPTION: Final = "raised by the fuzzer"
"""The message of every injected exception: nothing else in the log tells it from an error of the service."""
_CONDITIONS: Final[tuple[Mapping[str, Any], ...]] = (
    {"flags": {"new-pricing": False}},
    {"settings": {"shop_retries": {"at_least": 0}, "shop_timeout": {"above": "1ms"}}},
    {"settings": {"shop_breaker": True}},
    {"providers": {"payments": "acme"}},
    {"in_rotation": True},
    {"limits": {"x-tenant=acme": {"above": 1}}},
    {"shed": {"browse": {"below": 0.5}}, "quarantine": {"p-0042": False}},
)
"""Valid conditions: a drawn one often breaks a rule that a schema cannot express."""
_PATH_VALUES: Final = {
    "name": NAMES,
    "product_id": ("p-0001", "p-0042", "p-9999"),
    "cart_id": ("c-1", "c-2", "u-7"),
    "order_id": ("o-1", "o-000001"),
}
_PATH_ODD: Final = (
    *("%00", "%0a", "%ff", "%2e%2e", "..", ".", "", "a" * 300, "a" * 5000, "%2f", "/" * 2000, "a%20b", "%E2%80%AE"),
    *("F0", "f0%0d%0aset-cookie:x", "*", "%F0%9F%98%80", "-", "0" * 63, "0" * 64, "é"),
)
_QUERY_ODD: Final = (
    *("", "-1", "0", "1e9", "99999999999999999999", "nan", "true", "%00", "%ff", "%ed%a0%80", "31s", "a" * 501),
    *("a" * 6000, "1&limit=2", "%0d%0ax:y", "[", "ended", "10000"),
)
_HEADERS_ODD: Final = (
    *("x-chaos-actor: \x01\x02", "x-chaos-actor: " + "a" * 5000, "x-chaos-actor: \xe2\x80\xae", "x-chaos-actor:"),
    *(
        "if-match: *",
        'if-match: "7"',
        'if-match: "7", "8"',
        'if-match: W/"7"',
        "if-match: 7",
        'if-match: "9999999999999999999999"',
    ),
    *("host: [::1", "host: ", "host: evil.example", "host: 127.0.0.1:99999", "host: localhost, evil", "host: [::1]:x"),
    *("origin: null", "origin: http://[", "origin: http://evil.example", "origin: ", "sec-fetch-site: cross-site"),
    *("x-forwarded-for: 127.0.0.1", "forwarded: for=127.0.0.1", "via: 1.1 x", "x-real-ip: ::1"),
    *("x-request-id: " + "r" * 4000, "x-request-id: \xff", "x-request-id:", "x-user-id: \x07", "idempotency-key: k"),
    *("idempotency-key: " + "k" * 300, "content-type: text/plain", "content-type: application/json; charset=utf-16"),
    *("content-type: ", "content-type: \xff/;;=", "content-type: application/merge-patch+json", "accept: */;q=x"),
    *("accept: application/openmetrics-text; version=1.0.0", "accept-encoding: gzip", "content-encoding: gzip"),
    *(
        "authorization: Bearer",
        "authorization: Basic !!",
        "authorization: \xff",
        "cookie: a=\x01; b",
        "range: bytes=0-",
    ),
    *("traceparent: 00-zz-zz-00", "tracestate: =", "baggage: %00=%ff", "te: trailers", "connection: close"),
    *("expect: 100-continue", "expect: nonsense", "x-forwarded-proto: \x00https", "x-a: " + "b" * 70_000),
)
_ODD_HEADER_SHARE: Final = 0.06
_METHODS_ODD: Final = ("HEAD", "OPTIONS", "PATCH", "PUT", "DELETE", "TRACE", "PROPFIND", "get")
_WEIGHTS: Final = {
    "POST /admin/faults": 12,
    "PUT /admin/faults/{name}": 12,
    "PATCH /admin/faults/{name}": 6,
    "DELETE /admin/faults/{name}": 3,
    "POST /hooks/alertmanager": 8,
    "POST /admin/forecast": 0.03,
    "GET /admin/faults/{name}/score": 0.1,
    "POST /admin/halt": 0.2,
    "DELETE /admin/halt": 0.5,
    "DELETE /admin/faults": 0.2,
    "GET /metrics": 0.3,
    "GET /admin/audit": 0.2,
    "GET /admin/faults": 0.3,
    "GET /admin/alerts": 0.2,
}
"""The weight of an operation in the draw; 1 unless listed."""
_BIG: Final = 1 / 3000
"""The share of bodies of the largest accepted size."""

_USUAL: Final = 10_000
"""Bytes above which a body is replaced by a valid one, except a share: large bodies take the time of other requests."""
_LARGE: Final = 0.03


@dataclass(frozen=True, slots=True)
class Message:
    """The bytes of one or more requests, and their properties."""

    data: bytes
    method: str
    route: str
    """The path template, for the report."""
    control: bool
    """Whether the request goes to the control plane."""
    plain: bool = True
    """Whether this is one complete request with one complete response on a keep-alive connection."""
    answers: int = 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A request before serialization."""

    method: str
    path: str
    route: str
    control: bool
    headers: tuple[str, ...] = ()
    body: bytes | None = None

    def message(self, note: str = "") -> Message:
        """Return the request as bytes."""
        own = {header.partition(":")[0] for header in self.headers}
        lines = [f"{self.method} {self.path} HTTP/1.1", *([] if "host" in own else ["host: localhost"]), *self.headers]
        if self.body is not None and "content-type" not in own:
            lines.append("content-type: application/json")
        if self.body is not None or self.method in {"POST", "PUT", "PATCH"}:
            lines.append(f"content-length: {len(self.body or b'')}")
        head = "\r\n".join(lines).encode("latin-1", "replace")
        plain = self.method != "HEAD" and not own & {"connection", "expect"}
        return Message(head + b"\r\n\r\n" + (self.body or b""), self.method, self.route, self.control, plain, note=note)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path of an OpenAPI document."""

    method: str
    path: str
    control: bool
    body: Mapping[str, Any] | None
    media: str
    parameters: Sequence[Mapping[str, Any]]
    sampler: Sampler


class Grammar:
    """Draws requests to the control plane and to the shop."""

    def __init__(self, users: Mapping[str, Any], admin: Mapping[str, Any]) -> None:
        self._operations = {False: _operations(users, control=False), True: _operations(admin, control=True)}
        probes = [Operation("GET", path, False, None, "", (), Sampler(users)) for path in ("/healthz", "/readyz")]
        self._operations[False] += [*probes, Operation("GET", "/nothing/here", False, None, "", (), Sampler(users))]
        self._weights = {
            control: [_WEIGHTS.get(f"{each.method} {each.path}", 1.0) for each in each_plane]
            for control, each_plane in self._operations.items()
        }

    @property
    def routes(self) -> list[str]:
        """Return every operation."""
        operations = chain.from_iterable(self._operations.values())
        return [f"{each.method} {each.path}" for each in operations]

    def draw(self, dice: Random, *, control: bool) -> Request:
        """Return a request; half of the requests are invalid."""
        (operation,) = dice.choices(self._operations[control], self._weights[control])
        wrong = dice.random() < 0.5
        body = self._body(dice, operation, wrong=wrong)
        odd = dice.random() < (0.05 if wrong else 0.005)
        path = _path(dice, operation, odd=odd) + _query(dice, operation, odd=wrong)
        headers = []
        if operation.body is not None and operation.media != "application/json":
            headers.append(f"content-type: {operation.media}")
        if wrong and dice.random() < 2 * _ODD_HEADER_SHARE:
            headers = [dice.choice(_HEADERS_ODD), *headers]
        if not control and dice.random() < 0.2:
            headers.append(f"x-user-id: user-{dice.randrange(50)}")
        method = dice.choice(_METHODS_ODD) if wrong and dice.random() < 0.03 else operation.method
        return Request(method, path, operation.path, control, tuple(headers), body)

    def fault(self, dice: Random) -> dict[str, Any]:
        """Return a valid fault that ends soon."""
        create = next(each for each in self._operations[True] if each.path == "/admin/faults" and each.body)
        return limit_impact(dice, create.sampler.draw(dice, create.body or {}))

    def _body(self, dice: Random, operation: Operation, *, wrong: bool) -> bytes | None:
        if operation.body is None:
            return None
        if wrong and dice.random() < _BIG:
            return mutations.oversized(dice)
        document: Any = operation.sampler.draw(dice, operation.body)
        if operation.method == "PATCH":
            fault = self.fault(dice)
            document = {key: fault[key] for key in dice.sample(sorted(fault), min(2, len(fault)))}
        elif isinstance(document, dict) and "effect" in document and operation.path != "/admin/forecast":
            document = limit_impact(dice, document)
            document.pop("name", None)
        elif isinstance(document, dict) and "alerts" in document:
            for alert in document["alerts"]:
                alert.setdefault("labels", {})["alertname"] = dice.choice(("ErrorBudgetBurn", "StoreDown"))
        whole = json.dumps(document).encode()
        body = mutations.mutate(dice, document) if wrong else whole
        if EXCEPTION.encode() in whole and EXCEPTION.encode() not in body:
            return whole  # with another message, the exception would be a finding
        return body if len(body) < _USUAL or dice.random() < _LARGE else whole


def limit_impact(dice: Random, fault: dict[str, Any]) -> dict[str, Any]:
    """Make a fault start soon, last briefly and hit few requests, so that the other requests get responses."""
    schedule = fault["schedule"] if isinstance(fault.get("schedule"), dict) else {}
    schedule["duration"] = dice.choice((0.05, 0.1, 0.3, 1, "500ms", "2s", 3, 30))
    schedule["start_after"] = dice.choice((0, 0, 0, 0.1, "1s"))
    if dice.random() < 0.7:
        schedule.pop("shape", None)
    kind = fault["effect"]["type"] if isinstance(fault["effect"], dict) else ""
    if kind in {"pause", "cpu", "memory", "health", "crash"}:
        fault = {key: value for key, value in fault.items() if key not in {"rate", "target"}}
    else:
        fault["rate"] = dice.choice((0.01, 0.05, 0.1, 0.1, 0.3, 1)) if kind not in {"hang", "latency"} else 0.05
    if isinstance(fault.get("while"), dict) and dice.random() < 0.8:
        fault["while"] = dict(dice.choice(_CONDITIONS))
    if kind == "exception":
        fault["effect"]["message"] = EXCEPTION
    if kind == "pause":
        fault["effect"].update(pause=dice.choice(("10ms", "50ms", "200ms")), every="1s")
    if kind not in {"error", "latency", "hang", "exception", "reset"} and isinstance(fault.get("target"), dict):
        fault["target"].pop("points", None)
    return {**fault, "schedule": schedule}


def _operations(document: Mapping[str, Any], *, control: bool) -> list[Operation]:
    sampler = Sampler(document)
    found = []
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            content = described.get("requestBody", {}).get("content", {})
            media = next(iter(content), "")
            schema = content[media]["schema"] if media else None
            found.append(
                Operation(method.upper(), path, control, schema, media, described.get("parameters", ()), sampler)
            )
    return found


def _path(dice: Random, operation: Operation, *, odd: bool) -> str:
    path = operation.path
    for name, values in _PATH_VALUES.items():
        value = dice.choice(_PATH_ODD) if odd else dice.choice(values)
        path = path.replace(f"{{{name}}}", value)
    if odd and path == operation.path:
        path += dice.choice(("/", "//", "/..", "%00", "%0a", ";x", "/" + "a" * 3000, "/./"))
    return path


def _query(dice: Random, operation: Operation, *, odd: bool) -> str:
    found = []
    for parameter in operation.parameters:
        name = parameter["name"]
        if parameter["in"] != "query" or dice.random() > (0.005 if name == "forecast" else 0.1):
            continue
        if odd and dice.random() < 0.3:
            found.append(f"{name}={dice.choice(_QUERY_ODD)}")
        else:
            found.append(f"{name}={quote(str(operation.sampler.draw(dice, parameter['schema'])))}")
    return f"?{'&'.join(found)}" if found else ""


def pipelined(messages: Sequence[Message]) -> Message:
    """Return several requests as one message."""
    first = messages[0]
    data = b"".join(each.data for each in messages)
    return replace(first, data=data, answers=len(messages), note=f"{len(messages)} pipelined")
