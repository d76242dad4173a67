"""The spans of requests, as OpenTelemetry's SDK gets them."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import chaosapi
from chaosapi.app import create_app
from chaosapi.settings import Settings, SettingsError
from chaosapi.trace_context import trace_here
from tests.conftest import MakeClient
from tests.patience import patience

pytest.importorskip("opentelemetry.sdk", reason="the extra `tracing` is not installed")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

CALLER = f"00-{'ab' * 16}-{'cd' * 8}-01"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Return where the spans of the host's provider go."""
    provider = TracerProvider(shutdown_on_exit=False)
    found = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield found
    provider.shutdown()


def spans(exporter: InMemorySpanExporter) -> dict[str, Any]:
    """Return the spans by name, the last of each name."""
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_request_is_a_span_of_its_callers_trace_and_its_calls_are_children(
    exporter: InMemorySpanExporter, make_client: MakeClient
) -> None:
    client = make_client()
    client.get("/api/products", headers={"traceparent": CALLER, "x-request-id": "abc-1", "user-agent": "a"})
    found = spans(exporter)
    server = found["GET /api/products"]
    assert trace.format_trace_id(server.context.trace_id) == "ab" * 16
    assert trace.format_span_id(server.parent.span_id) == "cd" * 8
    assert server.kind is trace.SpanKind.SERVER
    assert dict(server.attributes) == {
        "http.request.method": "GET",
        "http.route": "/api/products",
        "http.response.status_code": 200,
        "http.request.header.x-request-id": ("abc-1",),
        "service.version": "1.0.0",
        "url.path": "/api/products",
        "url.scheme": "http",
        "user_agent.original": "a",
    }
    call = found["db"]
    assert call.parent.span_id == server.context.span_id
    assert call.kind is trace.SpanKind.CLIENT
    assert server.start_time <= call.start_time <= call.end_time <= server.end_time


def test_each_try_is_a_span_that_says_how_it_ended_and_not_why(
    exporter: InMemorySpanExporter, make_client: MakeClient
) -> None:
    """The fifth failure opens the circuit breaker, which the span of that request notes."""
    client = make_client()
    fault = {"name": "the-cause", "effect": {"type": "error"}, "target": {"points": ["db"]}}
    client.post("/admin/faults", json=fault)
    assert client.get("/api/products").status_code == 503
    assert client.get("/api/products").status_code == 503
    finished: list[Any] = [*exporter.get_finished_spans()]
    tries = [span for span in finished if span.name == "db"]
    assert [span.attributes.get("http.request.resend_count") for span in tries] == [None, 1, 2] * 2
    assert [span.attributes["error.type"] for span in tries] == ["error"] * 5 + ["rejected"]
    assert tries[0].status.description == "db answered 503"
    servers = [span for span in finished if span.name == "GET /api/products"]
    assert [span.attributes["error.type"] for span in servers] == ["503"] * 2
    assert [event.name for span in servers for event in span.events] == ["circuit breaker open"]
    told = " ".join(span.to_json() for span in finished)
    assert "the-cause" not in told
    assert "fault" not in told


def test_waits_for_a_place_are_spans(exporter: InMemorySpanExporter, make_client: MakeClient) -> None:
    """In front of the service under the request, in a pool under the try that needs the connection."""
    client = make_client()
    pool = {"type": "capacity", "concurrency": 1}
    for target in ({"points": ["db"]}, {"routes": ["/api/products"]}):
        assert client.post("/admin/faults", json={"effect": pool, "target": target}).status_code < 300
    client.get("/api/products")
    found = spans(exporter)
    assert found["queue wait"].parent.span_id == found["GET /api/products"].context.span_id
    assert found["pool wait"].parent.span_id == found["db"].context.span_id
    assert found["pool wait"].attributes["service.peer.name"] == "db"
    assert found["db"].start_time <= found["pool wait"].start_time <= found["pool wait"].end_time


def test_the_spans_of_a_host_nest_with_those_of_its_requests(exporter: InMemorySpanExporter) -> None:
    """Also where the host's own middleware has begun a span for the request: there is one of kind server."""
    app = FastAPI(telemetry={"tracing": False})
    chaosapi.install(app, Settings(access_log=False), points=["db"])
    tracer = trace.get_tracer_provider().get_tracer("host")

    @app.get("/a")
    def handle() -> dict[str, str]:
        with tracer.start_as_current_span("work"), chaosapi.point("db"):
            return trace_here().headers

    with TestClient(app, base_url="http://localhost") as client:
        shown = client.get("/a").json()["traceparent"]
    found = spans(exporter)
    server = found["GET /a"]
    assert found["work"].parent.span_id == server.context.span_id
    assert found["db"].parent.span_id == found["work"].context.span_id
    ids = f"{trace.format_trace_id(server.context.trace_id)}-{trace.format_span_id(server.context.span_id)}"
    assert shown == f"00-{ids}-01"
    assert not trace.get_current_span().get_span_context().is_valid


def test_the_spans_of_fastapi_itself_are_a_part_of_the_same_trace(exporter: InMemorySpanExporter) -> None:
    app = FastAPI()
    chaosapi.install(app, Settings(access_log=False))

    @app.get("/a")
    def handle() -> None:
        """Answer."""

    with TestClient(app, base_url="http://localhost") as client:
        client.get("/a")
    found = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in found}) == 1
    assert len([span for span in found if span.parent is None]) == 1
    assert len([span for span in found if span.kind is trace.SpanKind.SERVER]) == 1


def test_a_caller_that_does_not_record_decides_for_this_service_too(
    exporter: InMemorySpanExporter, make_client: MakeClient
) -> None:
    client = make_client()
    client.get("/api/products", headers={"traceparent": CALLER[:-1] + "0"})
    assert not exporter.get_finished_spans()


def test_spans_are_written_to_files_of_this_user(tmp_path: Path) -> None:
    folder = tmp_path / "spans"
    app = create_app(Settings(access_log=False, trace_dir=folder, replica="shop-1"))
    with TestClient(app, base_url="http://localhost:8000") as client:
        client.get("/api/products", headers={"traceparent": CALLER})
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    (resource,) = [each for line in file.read_text().splitlines() for each in json.loads(line)["resourceSpans"]]
    named = {each["key"]: each["value"].get("stringValue") for each in resource["resource"]["attributes"]}
    assert (named["service.name"], named["service.instance.id"]) == ("shop", "shop-1")
    (scope,) = resource["scopeSpans"]
    assert {span["name"] for span in scope["spans"]} == {"GET /api/products", "db"}
    assert {span["traceId"] for span in scope["spans"]} == {"ab" * 16}


class Collector(BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    bodies: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        """Take an export."""
        self.bodies.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Write nothing."""


def test_spans_go_to_the_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[tuple[str, bytes]] = []
    with HTTPServer(("127.0.0.1", 0), type("Here", (Collector,), {"bodies": bodies})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "corner-shop")
        with TestClient(create_app(Settings(access_log=False)), base_url="http://localhost:8000") as client:
            client.get("/api/products")
        server.shutdown()
    assert [path for path, _ in bodies] == ["/v1/traces"]
    assert b"GET /api/products" in bodies[0][1]
    assert b"corner-shop" in bodies[0][1]


def test_a_collector_that_is_away_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with TestClient(create_app(Settings(access_log=False)), base_url="http://localhost:8000") as client:
        client.get("/api/products")
        start = time.monotonic()
    assert time.monotonic() - start < patience(5)


def test_the_sdk_is_not_imported_unless_spans_are_asked_for() -> None:
    program = """if True:
        import sys
        from chaosapi.telemetry.trace_provider import TracedService, create_tracing

        away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
        for asked in ({}, {**away, "OTEL_SDK_DISABLED": "true"}, {**away, "OTEL_TRACES_EXPORTER": "none"}):
            assert create_tracing(TracedService("shop", "shop-1"), str, None, asked) is None
        print([name for name in sys.modules if name.startswith("opentelemetry")])
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_without_the_extra_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An endpoint is a warning instead: the variable may be there for other services."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"CHAOSAPI_TRACE_DIR needs the tracing extra"):
        create_app(Settings(trace_dir=tmp_path))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    create_app(Settings())
