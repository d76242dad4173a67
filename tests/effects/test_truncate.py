import pytest
from fastapi.testclient import TestClient

from tests.effects.conftest import Inject, Raw

pytestmark = pytest.mark.slow

PATH = "/api/products/p-0001"


@pytest.mark.parametrize("keep", [0, 0.25, 0.999])
def test_the_body_is_shorter_than_its_content_length(client: TestClient, inject: Inject, raw: Raw, keep: float) -> None:
    """The headers are complete, the body is truncated, and the connection is closed."""
    whole = client.get(PATH).content
    arrived, end = raw(inject({"type": "truncate", "keep": keep}), PATH)
    head, _, body = arrived.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"content-length: %d" % len(whole) in head.lower()
    assert (body, end) == (whole[: int(keep * len(whole))], "closed")
