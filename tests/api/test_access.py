import pytest

from tests.conftest import MakeClient

PATHS = ["/admin/faults", "/admin/audit", "/admin/nothing", "/hooks/alertmanager"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer ", "secret", "Basic secret", "Bearer secret2"])
def test_with_a_token_set_nothing_answers_without_it(make_client: MakeClient, path: str, given: str | None) -> None:
    """Known and unknown paths alike; the answer says how to send it and reveals nothing."""
    client = make_client(admin_token="secret")
    answer = client.get(path, headers={"authorization": given} if given else {})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_token_opens_and_the_shop_never_asks(make_client: MakeClient) -> None:
    """Traffic, probes and metrics need no token."""
    client = make_client(admin_token="secret")
    assert client.get("/admin/faults", headers={"authorization": "Bearer secret"}).status_code == 200
    for path in ("/api/products", "/healthz", "/metrics", "/docs"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9000"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example:8000", "origin": "http://evil.example:8000"},
        {"host": "evil.example"},
        {"host": ""},
    ],
)
def test_another_sites_page_is_refused_even_without_a_token(make_client: MakeClient, headers: dict[str, str]) -> None:
    """Other origins, opaque ones, other ports, and names that were pointed at this machine (DNS rebinding)."""
    answer = make_client().post("/admin/faults", headers=headers, json={"effect": {"type": "error"}})
    assert answer.status_code == 403
    assert make_client().get("/admin/faults").json()["faults"] == []


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "127.0.0.1"])
def test_this_machine_and_its_own_docs_page_may(make_client: MakeClient, host: str) -> None:
    """The page at /docs sends its own origin."""
    headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert make_client().post("/admin/faults", headers=headers, json={"effect": {"type": "error"}}).status_code == 201


def test_an_open_admin_answers_to_any_name(make_client: MakeClient) -> None:
    """CHAOSAPI_ADMIN_OPEN lifts the loopback rule, not the origin rule."""
    client = make_client(admin_open=True)
    assert client.get("/admin/faults", headers={"host": "chaos.example"}).status_code == 200
    foreign = {"host": "chaos.example", "origin": "https://evil.example"}
    assert client.get("/admin/faults", headers=foreign).status_code == 403
