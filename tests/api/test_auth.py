import itertools
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from starlette.types import Receive, Scope, Send

from chaosapi.app import create_app
from chaosapi.settings import Settings
from tests.conftest import MakeClient
from tests.failures.networks import Network, missing

PATHS = [
    "/admin/faults",
    "/admin/audit",
    "/admin/nothing",
    "/admin/docs/faults",
    "/admin/static",
    "/admin/static/" + "a/" * 1000,
    "/admin/openapi.json/",
    "/hooks/alertmanager",
]
MALFORMED = ["[::1", "http://[", "[::1]]", "[evil]", "a b", "localhost:x", "localhost:8000:1", "user@localhost", "\xff"]
MISSING = missing()
GUEST = """
import chaosapi, fastapi, logging, uvicorn
logging.basicConfig()
app = fastapi.FastAPI()
chaosapi.install(app)
uvicorn.run(app, host="0.0.0.0", port=8000, forwarded_allow_ips="*")
"""


def ask(peer: str, headers: dict[str, str] | None = None, **settings: object) -> Response:
    """Inject a fault from an address, with a loopback Host."""
    app = create_app(Settings.model_validate({"access_log": False, **settings}))

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "client": (peer, 50_000) if peer else None}, receive, send)

    with TestClient(asked, base_url="http://127.0.0.1:8000") as client:
        return client.post("/admin/faults", json={"effect": {"type": "error"}}, headers=headers)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer ", "secret", "Basic secret", "Bearer secret2"])
def test_without_the_configured_token_every_path_is_refused(
    make_client: MakeClient, path: str, given: str | None
) -> None:
    """Known and unknown paths get the same 401, which says how to send the token."""
    client = make_client(admin_token="secret")
    answer = client.get(path, headers={"authorization": given} if given else {})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_token_admits_and_the_shop_needs_none(make_client: MakeClient) -> None:
    """User requests, probes and metrics need no token."""
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
def test_a_cross_site_request_is_refused_without_a_token_too(make_client: MakeClient, headers: dict[str, str]) -> None:
    """Other origins, opaque origins, other ports, and names that resolve to this machine (DNS rebinding)."""
    answer = make_client().post("/admin/faults", headers=headers, json={"effect": {"type": "error"}})
    assert answer.status_code == 403
    assert make_client().get("/admin/faults").json()["faults"] == []


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "127.0.0.1"])
def test_a_loopback_client_and_the_docs_page_are_admitted(make_client: MakeClient, host: str) -> None:
    """The docs page sends its own origin."""
    headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert make_client().post("/admin/faults", headers=headers, json={"effect": {"type": "error"}}).status_code == 201


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("chaos.example", 200),
        ("CHAOS.example:8001", 200),
        ("192.0.2.1:8001", 200),
        ("[2001:db8::1]:8001", 200),
        ("localhost:8001", 200),
        ("evil.example:8001", 403),
        ("chaos.example.evil.example", 403),
        ("192.0.2.1.evil.example", 403),
        ("", 403),
        *((each, 400) for each in MALFORMED),
    ],
)
def test_an_open_admin_answers_to_addresses_and_configured_host_names(
    make_client: MakeClient, host: str, status: int
) -> None:
    """CHAOSAPI_ADMIN_OPEN admits every peer, but no unknown host name (DNS rebinding)."""
    client = make_client(admin_open=True, admin_hosts="chaos.example, shop-admin")
    assert client.get("/admin/faults", headers=[(b"host", host.encode("latin-1"))]).status_code == status


def test_an_open_admin_refuses_cross_site_requests(make_client: MakeClient) -> None:
    """Another origin is refused under a configured host name too."""
    client = make_client(admin_open=True, admin_hosts="chaos.example")
    foreign = {"host": "chaos.example", "origin": "https://evil.example"}
    assert client.get("/admin/faults", headers=foreign).status_code == 403


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_loopback_peers_are_admitted(peer: str) -> None:
    """Over IPv4, IPv6, and IPv4 mapped to IPv6."""
    assert ask(peer).status_code == 201


@pytest.mark.parametrize(
    "peer",
    ["192.0.2.7", "10.0.0.1", "::ffff:192.0.2.7", "2001:db8::7", "fe80::1%eth0", "128.0.0.1", "localhost.evil", ""],
)
def test_without_a_token_other_peers_are_refused_whatever_their_headers(peer: str) -> None:
    """The peer's address decides, not a header; an unknown address, as on a Unix socket, is refused."""
    answer = ask(peer)
    assert answer.status_code == 403
    assert "CHAOSAPI_ADMIN_TOKEN" in answer.json()["detail"]


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "x-forwarded-anything",
        "X-Real-IP",
        "Via",
        "CF-Connecting-IP",
        "True-Client-IP",
        "X-Envoy-External-Address",
    ],
)
def test_without_a_token_requests_through_a_proxy_are_refused(make_client: MakeClient, header: str) -> None:
    """A local proxy that sets Host to localhost may forward requests from any machine."""
    client = make_client()
    for value in ("127.0.0.1", "", "1.1 proxy"):
        assert client.get("/admin/faults", headers={header: value}).status_code == 403


def test_with_the_token_requests_through_a_proxy_are_admitted() -> None:
    """From anywhere."""
    headers = {"authorization": "Bearer secret", "x-forwarded-for": "192.0.2.7", "host": "chaos.example"}
    assert ask("192.0.2.8", headers, admin_token="secret").status_code == 201


def test_a_proxy_that_sets_no_header_but_speaks_http_1_0_is_refused() -> None:
    """The default of nginx, with the upstream's address as Host."""
    app = create_app(Settings(access_log=False))

    async def older(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "http_version": "1.0"} if scope["type"] == "http" else scope, receive, send)

    with TestClient(older, base_url="http://127.0.0.1:8000") as client:
        assert client.get("/admin/faults").status_code == 403
        assert client.get("/api/products").status_code == 200


@pytest.mark.parametrize("settings", [{}, {"admin_token": "secret"}, {"admin_open": True}])
def test_a_malformed_header_is_refused_or_ignored(make_client: MakeClient, settings: dict[str, object]) -> None:
    """No such header causes a 5xx, on any path."""
    client = make_client(**settings)
    paths = ["/admin/faults", "/admin/nothing", "/admin/faults/", "/admin/docs", "/hooks/x", "/x"]
    for name, value, path in itertools.product([b"host", b"origin", b"referer"], MALFORMED, paths):
        sent = [(name, value.encode("latin-1")), (b"authorization", b"Bearer secret")]
        status = client.get(path, headers=sent, follow_redirects=False).status_code
        assert status < 500, (name, value, path)
        if name != b"referer" and path.startswith("/admin/faults"):
            assert status == (403 if name == b"origin" else 400), (value, path)


@pytest.mark.parametrize("settings", [{}, {"admin_token": "secret"}, {"admin_open": True}])
@pytest.mark.parametrize("second", ["localhost", "evil.example", ""])
def test_a_request_with_two_hosts_is_refused(make_client: MakeClient, settings: dict[str, object], second: str) -> None:
    """RFC 9112, 3.2; also under a server that lets such a request through."""
    sent = [("host", "localhost"), ("host", second), ("authorization", "Bearer secret")]
    answer = make_client(**settings).get("/admin/faults", headers=sent)
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer "])
def test_the_name_of_the_scheme_is_case_insensitive(make_client: MakeClient, scheme: str) -> None:
    """RFC 9110, 11.1."""
    client = make_client(admin_token="secret")
    assert client.get("/admin/faults", headers={"authorization": f"{scheme} secret"}).status_code == 200


@pytest.mark.parametrize("path", ["/admin/docs", "/admin/faults", "/admin/nothing", "/admin/openapi.json"])
def test_no_admin_page_may_be_framed_by_another_site(make_client: MakeClient, path: str) -> None:
    """Against clickjacking of the API docs; refusals have the headers too."""
    for client in (make_client(), make_client(admin_token="secret")):
        headers = client.get(path).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"] == "frame-ancestors 'none'"


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_in_a_host_apps_server_only_loopback_peers_are_admitted(tmp_path: Path) -> None:
    """The server listens on all addresses; a forged Host does not help, and the log mentions the rule at startup."""
    network = Network(1)
    host = network.links[0].host
    log = tmp_path / "log"
    try:
        with host.entered(), log.open("wb") as out:
            process = subprocess.Popen([sys.executable, "-c", GUEST], stdout=out, stderr=subprocess.STDOUT)
        try:
            while "Uvicorn running" not in log.read_text():
                assert process.poll() is None, log.read_text()
                time.sleep(0.02)
            fault = {"effect": {"type": "error"}}
            with host.entered():
                here = httpx2.post("http://127.0.0.1:8000/admin/faults", json=fault)
            with network.hub.entered():
                named = {"host": "127.0.0.1"}
                there = httpx2.post("http://192.0.2.11:8000/admin/faults", json=fault, headers=named)
                forwarded = named | {"x-forwarded-for": "127.0.0.1"}
                forged = httpx2.post("http://192.0.2.11:8000/admin/faults", json=fault, headers=forwarded)
        finally:
            process.kill()
            process.wait()
    finally:
        network.close()
    assert (here.status_code, there.status_code, forged.status_code) == (201, 403, 403)
    assert "/admin answers to this machine alone" in log.read_text()
