import re
import time
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Serve
from tests.effects.conftest import Inject, Raw
from tests.patience import patience

pytestmark = pytest.mark.slow


def test_the_client_gets_a_tcp_reset_without_a_response(inject: Inject, raw: Raw) -> None:
    """A RST and not a FIN, as from a crashed process or a firewall."""
    url = inject({"type": "reset"})
    assert raw(url, "/api/products") == (b"", "reset")
    assert 'handler="/api/products",method="GET",status="000"} 1.0' in httpx2.get(f"{url}/metrics").text


def test_a_client_that_has_disconnected_before_causes_no_error(serve: Serve, tmp_path: Path) -> None:
    """For example during a delay: the log has no traceback."""
    url = serve()
    slow = {"type": "latency", "distribution": {"type": "constant", "value": "30s"}}
    for name, effect in {"slow": slow, "gone": {"type": "reset"}}.items():
        httpx2.put(f"{url}/admin/faults/{name}", json={"effect": effect}).raise_for_status()
    for _ in range(20):
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.get(f"{url}/api/products", timeout=0.05)
    deadline = time.monotonic() + patience(20)
    while not re.search(
        r'^http_requests_total\{.*status="000"\} 20\.0$', httpx2.get(f"{url}/metrics").text, re.MULTILINE
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert '"exception"' not in (tmp_path / "serve-0.log").read_text()
