import pytest

from tests.effects.conftest import Inject, Raw

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("keep", "arrives"), [(0, 0), (0.25, 15), (0.999, 62)])
def test_the_body_is_shorter_than_its_content_length(inject: Inject, raw: Raw, keep: float, arrives: int) -> None:
    """The headers are complete, the body is truncated, and the connection is closed."""
    arrived, end = raw(inject({"type": "truncate", "keep": keep}), "/api/products/p-0001")
    head, _, body = arrived.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"content-length: 63" in head.lower()
    assert (len(body), end) == (arrives, "closed")
