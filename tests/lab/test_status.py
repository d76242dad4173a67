"""The status of a lab, without its processes."""

import httpx2
import pytest

from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.lab.status import label_links


@pytest.mark.parametrize(("status", "label"), [(200, "Prometheus"), (404, "Prometheus (HTTP API only)")])
def test_a_prometheus_without_web_pages_is_labelled(status: int, label: str) -> None:
    """Debian's package answers 404 where the pages would be; its link stays, for clients."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status))
    with httpx2.Client(base_url="http://prometheus", transport=transport) as http:
        links = label_links({"console": "http://c", "Prometheus": "http://p"}, PrometheusClient(http))
    assert links == {"console": "http://c", label: "http://p"}
