"""Each role may use its routes and no others."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from chaosapi.access import Role
from chaosapi.api import roles
from chaosapi.api.roles import ROUTES
from chaosapi.frameworks import every_route
from chaosapi.routes import METHODS
from chaosapi.routing import RouteTable
from chaosapi.settings import Settings
from chaosapi.wiring import Chaos
from tests.conftest import Clock, MakeClient

TOKENS = {Role.INSTRUCTOR: "secret-i", Role.OPERATOR: "secret-o", Role.OBSERVER: "secret-v"}
SETTINGS = {
    "admin_token": TOKENS[Role.INSTRUCTOR],
    "operator_token": TOKENS[Role.OPERATOR],
    "observer_token": TOKENS[Role.OBSERVER],
}
REFUSED = {401, 403}
DOCS = Path(__file__).parent.parent.parent / "docs" / "reference" / "roles.md"


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Return a client of a service with a token for each role."""
    return make_client(**SETTINGS)


def send(client: TestClient, role: Role, method: str, path: str, body: object = None) -> Response:
    """Send a request with the token of a role."""
    headers = {"authorization": f"Bearer {TOKENS[role]}"} if role in TOKENS else {}
    return client.request(method, path, json={} if body is None else body, headers=headers)


def routes_of(app: FastAPI) -> Iterator[str]:
    """Yield the routes of an app: without the mounted files of the API docs, and each that ends in a slash once."""
    for route in every_route(app.routes):
        for method in (getattr(route, "methods", None) or set()) - {"HEAD"}:
            yield f"{method} {route.path.rstrip('/')}"


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    control = Chaos(Settings(), RouteTable.of([])).control
    found = set(routes_of(control))
    assert found == set(ROUTES)
    control.add_api_route("/admin/forgotten", lambda: None)
    assert set(routes_of(control)) - set(ROUTES) == {"GET /admin/forgotten"}


def test_the_docs_have_the_same_table() -> None:
    rows = re.findall(r"^\| `([A-Z]+ /\S*)` \| (\w+) \|$", DOCS.read_text(), re.MULTILINE)
    assert dict(rows) == {route: str(role) for route, role in ROUTES.items()}


@pytest.mark.parametrize("role", Role)
def test_a_role_may_use_its_routes_and_no_others(client: TestClient, role: Role) -> None:
    """Of every path each method, also those that it does not have; a refusal says which role is needed."""
    paths = {route.partition(" ")[2] for route in ROUTES} | {"/admin/forgotten"}
    for path in sorted(paths):
        asked = path.replace("{name}", "f").replace("{token_id}", "0123abcd")
        for method in METHODS:
            allowed = roles.needed(method, asked) <= role
            answer = send(client, role, method, asked)
            assert (answer.status_code not in REFUSED) == allowed, (method, path, answer.text)
            if not allowed and role is not Role.PUBLIC and method != "HEAD":
                assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")
                needed = roles.needed(method, asked)
                assert answer.json()["detail"] == f"this needs the role {needed}, and the token is for the role {role}"


def test_a_route_without_a_row_is_for_instructors() -> None:
    assert roles.needed("GET", "/admin/forgotten") is Role.INSTRUCTOR
    assert roles.needed("POST", "/admin/world") is Role.INSTRUCTOR
    assert roles.needed("GET", "/admin/world/") is Role.INSTRUCTOR
    assert roles.needed("HEAD", "/admin/world") is Role.OBSERVER


def test_an_operator_changes_the_world_within_its_safe_ranges(client: TestClient) -> None:
    """An instructor may leave them; what has left them already does not stop an operator."""
    safe = send(client, Role.OPERATOR, "PATCH", "/admin/world", {"settings": {"shop_retries": 0}})
    assert (safe.status_code, safe.json()["settings"]["shop_retries"]) == (200, 0)
    risky = {"settings": {"shop_retries": 10}}
    refused = send(client, Role.OPERATOR, "PATCH", "/admin/world", risky)
    assert (refused.status_code, "outside the safe range" in refused.json()["detail"]) == (403, True)
    assert send(client, Role.INSTRUCTOR, "PATCH", "/admin/world", risky).json()["risks"]
    assert send(client, Role.OPERATOR, "PATCH", "/admin/world", {"flags": {"bulk-export": True}}).status_code == 200
    assert send(client, Role.OPERATOR, "PATCH", "/admin/world", {"settings": {"queue": 5000}}).status_code == 403


def issue(client: TestClient, **asked: object) -> dict[str, str]:
    """Issue a token and return the answer."""
    answer = send(client, Role.INSTRUCTOR, "POST", "/admin/tokens", {"role": "operator", **asked})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store"), answer.text
    issued: dict[str, str] = answer.json()
    return issued


def status(client: TestClient, token: str, path: str = "/admin/world") -> int:
    """Return the status for a token."""
    return client.get(path, headers={"authorization": f"Bearer {token}"}).status_code


def test_an_issued_token_is_shown_once_and_ends(client: TestClient) -> None:
    """By revocation; the list and the audit have no secret, and the audit names who acted."""
    issued = issue(client, label="team blue", ttl="10m")
    assert status(client, issued["token"]) == 200
    assert status(client, issued["token"], "/admin/faults") == 403
    headers = {"authorization": f"Bearer {issued['token']}", "x-chaos-actor": "ann"}
    client.patch("/admin/world", json={"flags": {"bulk-export": True}}, headers=headers).raise_for_status()
    listed = send(client, Role.INSTRUCTOR, "GET", "/admin/tokens")
    assert [each["id"] for each in listed.json()["tokens"]] == [issued["id"]]
    audit = send(client, Role.INSTRUCTOR, "GET", "/admin/audit")
    assert audit.json()["entries"][0]["actor"] == "ann (team blue)"
    assert issued["token"] not in listed.text + audit.text
    send(client, Role.INSTRUCTOR, "DELETE", f"/admin/tokens/{issued['id']}").raise_for_status()
    assert status(client, issued["token"]) == 401
    assert send(client, Role.INSTRUCTOR, "DELETE", f"/admin/tokens/{issued['id']}").status_code == 404


def test_an_issued_token_expires(client: TestClient, clock: Clock) -> None:
    issued = issue(client, ttl="1m")
    clock.now += 59
    assert status(client, issued["token"]) == 200
    clock.now += 2
    assert status(client, issued["token"]) == 401
    assert send(client, Role.INSTRUCTOR, "GET", "/admin/tokens").json()["tokens"] == []


def test_tokens_are_bounded(client: TestClient) -> None:
    assert send(client, Role.INSTRUCTOR, "POST", "/admin/tokens", {"role": "operator", "ttl": "25h"}).status_code == 422
    for _ in range(50):
        issue(client, ttl="10m")
    assert send(client, Role.INSTRUCTOR, "POST", "/admin/tokens", {"role": "operator"}).status_code == 429


def test_an_issued_token_keeps_its_role_where_no_token_is_configured(make_client: MakeClient) -> None:
    """Also after it has expired: it must not become an instructor's."""
    client = make_client()
    issued = client.post("/admin/tokens", json={"role": "observer"}).json()
    assert status(client, issued["token"], "/admin/faults") == 403
    client.delete(f"/admin/tokens/{issued['id']}").raise_for_status()
    assert status(client, issued["token"], "/admin/faults") == 401


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"operator_token": "o"}, "set CHAOSAPI_ADMIN_TOKEN too"),
        ({"admin_token": "i", "operator_token": "i"}, "another role has the same token"),
        ({"admin_token": "i", "operator_token": "o", "observer_token": "o"}, "another role has the same token"),
        ({"admin_token": "i", "observer_token": ""}, "it is empty"),
    ],
)
def test_tokens_that_protect_nothing_are_refused(wrong: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Settings.model_validate(wrong)
