"""Probes and metrics: the negotiation of exposition formats."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from chaosapi.app import create_app
from chaosapi.settings import Settings

OLD = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""The Accept header of Prometheus 2.42."""
NEW = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""The Accept header of Prometheus 3."""
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text"
LATEST = f"{OPEN}; version=1.0.0; charset=utf-8; escaping=underscores"
PLAIN_1 = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """Return a client of the service."""
    with TestClient(create_app(Settings()), client=("127.0.0.1", 1), base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (OLD, LATEST),
        (NEW, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
        ("text/plain;version=1.0.0;escaping=dots", "text/plain; version=1.0.0; charset=utf-8; escaping=dots"),
        ("", PLAIN),
        ("text/html", PLAIN),
        (f"{OPEN};version=2.0.0,{OPEN};version=1.0.0;q=0.5,text/plain;q=0.4", LATEST),
        (f"{OPEN};version=x;q=1,text/plain;version=1.0.0;q=0.9", PLAIN_1),
        (f"{OPEN};version=1.0", LATEST),
        ("text/plain;version=1.0", PLAIN_1),
        (f"text/plain;version=0.0.4;q=0.5,{OPEN};version=1.0.0;q=0.6", LATEST),
        (f"{OPEN};version=1.0.0;q=0,text/plain;q=0.1", PLAIN),
        (f"*/*,{OPEN};version=1.0.0", LATEST),
        (f"{OPEN};version=0.0.1,*/*;q=0.1", PLAIN),
        (f'{OPEN.upper()} ; Version="1.0.0" ; Q=0.1', LATEST),
        (f"{OPEN};version=1.0.0;escaping=nothing", LATEST),
        (f"{OPEN};version=1.0.0;q=much,text/plain;q=0.9", LATEST),
    ],
)
def test_scrapers_get_the_format_that_they_prefer(client: TestClient, accept: str, content_type: str) -> None:
    """The known format with the highest quality, also for Prometheus 2 and 3; plain text if none is known."""
    answer = client.get("/metrics", headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == content_type


@pytest.mark.parametrize("media", ["application/openmetrics-text", "text/plain"])
@pytest.mark.parametrize(
    "version", ["x", "1.x", "1.0.0-a", "1.0.0.7", "2.0.0", "9" * 5000, "1." + "0." * 9000, "\u0661.0"]
)
def test_an_unknown_version_gives_plain_text(client: TestClient, media: str, version: str) -> None:
    """The response does not echo the version: clients cannot add formats to the cache."""
    answer = client.get("/metrics", headers={b"accept": f"{media}; version={version}".encode()})
    assert answer.status_code == 200
    assert answer.headers["content-type"] in {PLAIN, PLAIN_1}


@pytest.mark.parametrize("accept", ["," * 60_000, "text/plain" + ";" * 60_000, "text/plain," * 5000, "a;b=c;" * 9000])
def test_a_long_list_of_formats_gives_plain_text(client: TestClient, accept: str) -> None:
    """Only the first 32 entries are parsed."""
    assert client.get("/metrics", headers={"accept": accept}).headers["content-type"] == PLAIN


SAME = ("content-type", "content-length", "etag", "www-authenticate")
"""Headers that depend on the answer alone."""


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/metrics",
        "/admin/faults",
        "/admin/faults/nothing",
        "/admin/audit?limit=1",
        "/admin/effects",
        "/admin/replicas",
        "/admin/openapi.json",
        "/admin/docs",
        "/admin/nothing",
        "/api/products",
    ],
)
def test_head_is_answered_as_get_without_a_body(client: TestClient, path: str) -> None:
    """Load balancers and `curl -I` ask so."""
    head = client.head(path)
    get = client.get(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    assert head.headers.keys() == get.headers.keys()
    same = SAME if path != "/metrics" else ("content-type",)
    assert [head.headers.get(name) for name in same] == [get.headers.get(name) for name in same]


def test_head_does_not_pass_where_get_does_not(client: TestClient) -> None:
    """The methods that a path takes are listed with HEAD."""
    assert client.head("/admin/faults", headers={"host": "elsewhere.example"}).status_code == 403
    refused = client.head("/admin/forecast")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert client.post("/healthz").headers["allow"] == "GET, HEAD"
