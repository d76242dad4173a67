"""A disconnect during any effect leaves no request held: through a real server, over a raw socket."""

import re
import socket
import struct
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from chaosapi.effects import EFFECTS, RequestEffect
from tests.conftest import _served
from tests.patience import until

pytestmark = pytest.mark.slow

HOUR = {"type": "constant", "value": "1h"}
LONG: dict[str, dict[str, Any]] = {
    "latency": {"distribution": HOUR, "cap": "2h"},
    "hang": {"at_most": "1h"},
    "throttle": {"bytes_per_second": 1},
    "capacity": {"concurrency": 1, "service_time": HOUR, "queue_timeout": "1h"},
}
"""Parameters with which effects hold requests for long."""

HEAD = b"POST /api/cart/c-1/items HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
ITEM = b'{"product_id": "p-0001", "quantity": 1}'
REQUESTS = {
    "no body": b"GET /api/products HTTP/1.1\r\nhost: x\r\n\r\n",
    "a body": HEAD + b"content-length: %d\r\n\r\n" % len(ITEM) + ITEM,
    "a streamed body": HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(ITEM) + ITEM + b"\r\n0\r\n\r\n",
    "half a streamed body": HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(ITEM) + ITEM + b"\r\n",
}
KINDS = [effect.model_fields["type"].default for effect in EFFECTS if issubclass(effect, RequestEffect)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Yield a client of a service that all these tests share."""
    log = tmp_path_factory.mktemp("serve") / "log"
    quiet = {"CHAOSAPI_ACCESS_LOG": "false"}
    with _served(log, [], quiet) as url, httpx2.Client(base_url=url) as client:
        yield client


def total(service: httpx2.Client, metric: str) -> float:
    """Return the sum of a metric over all its labels."""
    shown = service.get("/metrics").text + service.get("/admin/metrics").text
    found = re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", shown, re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.parametrize("request_sent", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_disconnect_leaves_no_request_held(service: httpx2.Client, kind: str, request_sent: bytes) -> None:
    """One client closes its connection and another resets it; the second is queued if the effect has a queue."""
    example = next(effect.example for effect in EFFECTS if effect.model_fields["type"].default == kind)
    fault = {"effect": {**example, **LONG.get(kind, {})}, "schedule": {"duration": "3h"}}
    service.put("/admin/faults/f", json=fault).raise_for_status()
    before = total(service, "chaosapi_fault_matched_total")
    address = service.base_url.host, service.base_url.port
    with socket.create_connection(address) as closing, socket.create_connection(address) as resetting:
        resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for client in (closing, resetting):
            client.sendall(request_sent)
        until(lambda: total(service, "chaosapi_fault_matched_total") == before + 2)
        assert total(service, "chaosapi_held_requests") == (2 if kind in LONG else 0) or kind == "throttle"
    until(lambda: total(service, "chaosapi_held_requests") == 0)
    until(lambda: total(service, "http_requests_inprogress") == 0)
    assert total(service, "chaosapi_capacity_in_use") == total(service, "chaosapi_capacity_queued") == 0
    service.delete("/admin/faults/f").raise_for_status()
