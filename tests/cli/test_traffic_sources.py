"""Where a forecast's traffic comes from when no Prometheus knows it."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chaosapi import errors
from chaosapi.cli.traffic_sources import count_traffic
from chaosapi.forecast.traffic import TrafficRoute

Counted = Callable[..., str]


def exposition(reads: int, failed: int = 0) -> str:
    """Write the counters of a service with two routes."""
    return (
        "# TYPE http_requests_total counter\n"
        f'http_requests_total{{method="GET",handler="/items",status="200"}} {reads}\n'
        f'http_requests_total{{method="GET",handler="/items",status="503"}} {failed}\n'
        'http_requests_total{method="POST",handler="/login",status="204"} 10\n'
        'http_requests_total{method="PUT",handler="/nobody",status="200"} 0\n'
        "# TYPE chaosapi_build_info gauge\n"
        'chaosapi_build_info{version="1"} 1\n'
    )


def truth(injected: int) -> str:
    """Write the metrics of a fault."""
    return f'# TYPE chaosapi_fault_injected_total counter\nchaosapi_fault_injected_total{{fault="f"}} {injected}\n'


@pytest.fixture
def counted() -> Iterator[Counted]:
    """Yield a function that starts a service whose /metrics answers with these texts, the last one again and again."""
    servers = []

    def start(*texts: str, of_faults: str | None = None) -> str:
        left = list(texts)

        class Metrics(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = (of_faults or "").encode()
                if self.path == "/metrics":
                    body = (left.pop(0) if len(left) > 1 else left[0]).encode()
                self.send_response(200 if body else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_service_counts_its_traffic_itself(counted: Counted) -> None:
    """Requests/s between two looks, shares since it started, by method, route and status."""
    paused: list[float] = []
    traffic = count_traffic(counted(exposition(60), exposition(90)), needs_rate=True, sleep=paused.append)
    assert paused == [3.0]
    assert traffic.rps > 0
    mix = {TrafficRoute("GET", "/items", "200"): 0.9, TrafficRoute("POST", "/login", "204"): 0.1}
    assert traffic.mix == pytest.approx(mix)
    assert "counted by the service" in traffic.source


def test_failures_that_faults_made_are_not_traffic(counted: Counted) -> None:
    """Without a fault they are the service's own. Where the admin API does not say, faults may have made them."""
    for of_faults in (truth(30), None):
        by_fault = count_traffic(counted(exposition(60, failed=30), of_faults=of_faults), needs_rate=False)
        assert by_fault.mix[TrafficRoute("GET", "/items", "200")] == pytest.approx(0.9)
    own = count_traffic(counted(exposition(60, failed=30), of_faults=truth(0)), needs_rate=False)
    assert own.mix[TrafficRoute("GET", "/items", "503")] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["# nothing\n"], "has counted no request since it started"),
        ([exposition(60)], "has counted no request in 3s"),
        (["<html>"], "no metrics from"),
        (['# TYPE http_requests_total counter\nhttp_requests_total{code="200"} 1\n'], "has no 'method'"),
    ],
)
def test_what_has_not_counted_anything_is_refused(counted: Counted, texts: list[str], problem: str) -> None:
    """Neither an idle service nor one without these counters has any traffic to forecast with."""
    with pytest.raises(errors.Invalid, match=problem):
        count_traffic(counted(*texts), needs_rate=True, sleep=lambda _: None)
