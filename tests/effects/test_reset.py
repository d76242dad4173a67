import httpx2
import pytest

from tests.effects.conftest import Inject, Raw

pytestmark = pytest.mark.slow


def test_the_client_sees_a_tcp_reset_and_not_a_byte(inject: Inject, raw: Raw) -> None:
    """Not a closed connection: a RST, as a crashed process or a firewall sends."""
    url = inject({"type": "reset"})
    assert raw(url, "/api/products") == (b"", "reset")
    assert 'handler="/api/products",method="GET",status="000"} 1.0' in httpx2.get(f"{url}/metrics").text
