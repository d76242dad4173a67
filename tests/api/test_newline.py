import pytest
from fastapi.testclient import TestClient

from tests.conftest import MakeClient


@pytest.mark.parametrize("path", ["/admin/faults", "/admin/effects", "/admin/openapi.json", "/admin/faults/unknown"])
def test_json_ends_with_a_newline(client: TestClient, path: str) -> None:
    """So `curl` leaves the prompt on a line of its own; HEAD declares the same length."""
    answer = client.get(path)
    assert answer.content.endswith(b"}\n")
    assert int(answer.headers["content-length"]) == len(answer.content)
    head = client.head(path)
    assert (head.content, head.headers["content-length"]) == (b"", answer.headers["content-length"])


def test_a_created_and_a_refused_fault_end_with_a_newline(client: TestClient, make_client: MakeClient) -> None:
    """Also without the token."""
    for body in ({"effect": {"type": "error"}}, {"effect": {"type": "eror"}}):
        assert client.post("/admin/faults", json=body).content.endswith(b"}\n")
    assert make_client(admin_token="of-a-test").get("/admin/faults").content.endswith(b"}\n")


def test_other_bodies_are_as_they_were(client: TestClient) -> None:
    """Text, pages and what the app itself answers."""
    assert not client.get("/metrics").content.endswith(b"\n\n")
    assert not client.get("/api/products/p-0001").content.endswith(b"\n")
    docs = client.get("/admin/docs")
    assert int(docs.headers["content-length"]) == len(docs.content)
