"""A client of the admin API, for programs and for tests.

    from chaosapi.clients.admin import AdminClient

    with AdminClient("http://127.0.0.1:8001") as admin:
        fault = admin.create_fault({"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "5m"}})
        ...  # send requests
        assert admin.end_fault(fault["name"])["receipt"]["injected"] > 0

In a pytest fixture, end all faults after each test, also after one that fails:

    @pytest.fixture
    def admin() -> Iterator[AdminClient]:
        with AdminClient("http://127.0.0.1:8001") as client:
            yield client
            client.end_all_faults(reason="the test is over")

    def test_the_checkout_survives_slow_payments(admin: AdminClient) -> None:
        admin.create_fault({"effect": {"type": "latency"}, "target": {"points": ["payments"]}}, wait="2s")
        assert httpx2.post("http://127.0.0.1:8000/api/checkout", …).status_code == 201

Every method raises a ClientError: UnreachableError, NoAnswerError, UnauthorizedError, or RefusedError. `problem` is the
API's problem document, `status` the status of the response, and the text says what is wrong, with "did you mean" for a
typo. `chaosapi.clients.admin_calls` describes the parameters and results of the calls.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Final

import httpx2

from chaosapi.clients import admin_calls as calls
from chaosapi.clients.errors import ClientError, NoAnswerError, RefusedError, UnauthorizedError, UnreachableError
from chaosapi.clients.exchange import AsyncClient, Client, awaitable, blocking

__all__ = [
    "AdminClient",
    "AsyncAdminClient",
    "ClientError",
    "NoAnswerError",
    "RefusedError",
    "UnauthorizedError",
    "UnreachableError",
    "find_admin_api",
]

_TIMEOUT_S: Final = 40.0  # longer than any `wait`


class AdminClient(Client):
    """A client of the admin API.

    `service` is the URL of the admin API, or an httpx2.Client such as a TestClient, which the caller closes. `token` is
    the admin token, if the service has one; `actor` is the name in the audit log. `timeout_s` applies with a URL only.
    """

    def __init__(
        self,
        service: str | httpx2.Client,
        *,
        token: str | None = None,
        actor: str | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        super().__init__(service, _headers(token, actor), timeout_s)

    create_fault = blocking(calls.create_fault)
    get_fault = blocking(calls.get_fault)
    list_faults = blocking(calls.list_faults)
    change_fault = blocking(calls.change_fault)
    replace_fault = blocking(calls.replace_fault)
    end_fault = blocking(calls.end_fault)
    end_all_faults = blocking(calls.end_all_faults)
    halt = blocking(calls.halt)
    resume = blocking(calls.resume)
    world = blocking(calls.world)
    change_world = blocking(calls.change_world)
    world_changes = blocking(calls.world_changes)
    forecast = blocking(calls.forecast)
    score = blocking(calls.score)
    effects = blocking(calls.effects)
    replicas = blocking(calls.replicas)
    audit = blocking(calls.audit)
    alerts = blocking(calls.alerts)
    issue_token = blocking(calls.issue_token)
    tokens = blocking(calls.tokens)
    revoke_token = blocking(calls.revoke_token)
    metrics = blocking(calls.metrics)
    openapi = blocking(calls.openapi)


class AsyncAdminClient(AsyncClient):
    """AdminClient with `await`: `async with AsyncAdminClient(url) as admin`, over an httpx2.AsyncClient."""

    def __init__(
        self,
        service: str | httpx2.AsyncClient,
        *,
        token: str | None = None,
        actor: str | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        super().__init__(service, _headers(token, actor), timeout_s)

    create_fault = awaitable(calls.create_fault)
    get_fault = awaitable(calls.get_fault)
    list_faults = awaitable(calls.list_faults)
    change_fault = awaitable(calls.change_fault)
    replace_fault = awaitable(calls.replace_fault)
    end_fault = awaitable(calls.end_fault)
    end_all_faults = awaitable(calls.end_all_faults)
    halt = awaitable(calls.halt)
    resume = awaitable(calls.resume)
    world = awaitable(calls.world)
    change_world = awaitable(calls.change_world)
    world_changes = awaitable(calls.world_changes)
    forecast = awaitable(calls.forecast)
    score = awaitable(calls.score)
    effects = awaitable(calls.effects)
    replicas = awaitable(calls.replicas)
    audit = awaitable(calls.audit)
    alerts = awaitable(calls.alerts)
    issue_token = awaitable(calls.issue_token)
    tokens = awaitable(calls.tokens)
    revoke_token = awaitable(calls.revoke_token)
    metrics = awaitable(calls.metrics)
    openapi = awaitable(calls.openapi)


def _headers(token: str | None, actor: str | None) -> Mapping[str, str]:
    authorization = {"authorization": f"Bearer {token}"} if token else {}
    return authorization | ({"x-chaos-actor": actor} if actor else {})


def find_admin_api(urls: Iterable[str]) -> str | None:
    """Return the first URL at which chaosapi's admin API answers; sends no token."""
    for url in urls:
        with contextlib.suppress(ClientError, LookupError, TypeError), AdminClient(url, timeout_s=2) as admin:
            if admin.openapi()["info"]["title"] == "chaosapi":
                return url
    return None
