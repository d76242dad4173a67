"""`chaosapi trace`: lists of requests, and trees of spans."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chaosapi.cli import app
from chaosapi.lab_addresses import LabAddresses, published

START = 1_800_000_000_000_000_000
MS = 1_000_000
TRACE = "ab" * 16


def text(**attributes: str) -> list[dict[str, Any]]:
    return [{"key": name.replace("_", "."), "value": {"stringValue": value}} for name, value in attributes.items()]


def span(span_id: str, parent: str, name: str, start_ms: float, end_ms: float, **more: Any) -> dict[str, Any]:
    """Return a span as OTLP has it."""
    times = {"startTimeUnixNano": str(int(START + start_ms * MS)), "endTimeUnixNano": str(int(START + end_ms * MS))}
    return {"traceId": TRACE, "spanId": span_id, "parentSpanId": parent, "name": name, **times, **more}


def request(name: str, start_ms: float, end_ms: float, status: int, request_id: str, **more: Any) -> dict[str, Any]:
    """Return the span of a request, with an id of its own."""
    method, route = name.split(" ")
    attributes = [
        *text(http_request_method=method, http_route=route, service_version="2.4.1"),
        {"key": "http.response.status_code", "value": {"intValue": str(status)}},
        {
            "key": "http.request.header.x-request-id",
            "value": {"arrayValue": {"values": [{"stringValue": request_id}]}},
        },
    ]
    failed = {"status": {"code": 2}} if status >= 500 else {}
    return span(request_id, "c" * 16, name, start_ms, end_ms, attributes=attributes, **failed, **more)


def line(*spans: dict[str, Any]) -> str:
    resource = {"attributes": text(service_name="shop", service_instance_id="shop-1")}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}) + "\n"


CHECKOUT = [
    span(
        "3",
        "abc-1",
        "payments",
        1101,
        2000,
        attributes=[{"key": "http.request.resend_count", "value": {"intValue": "1"}}],
    ),
    span(
        "2",
        "abc-1",
        "payments",
        1,
        1001,
        attributes=text(error_type="timeout"),
        status={"code": 2, "message": "no answer within 1 s"},
    ),
    span("4", "2", "pool wait", 1, 251),
    request(
        "POST /api/checkout",
        0,
        2000,
        200,
        "abc-1",
        events=[{"timeUnixNano": str(START + 1001 * MS), "name": "circuit breaker open"}],
    ),
]
SEARCHES = [
    {
        **request("GET /api/search", 10 * number, 10 * number + number, 503 if number == 3 else 200, f"s-{number}"),
        "traceId": f"{number:032x}",
    }
    for number in range(1, 6)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the spans of two processes; the last line of one is being written."""
    (tmp_path / "shop-1-7.jsonl.old").write_text(line(*CHECKOUT[:2]))
    (tmp_path / "shop-1-7.jsonl").write_text(line(*CHECKOUT[2:]) + line(*SEARCHES)[:100])
    (tmp_path / "shop-1-8.jsonl").write_text("no spans\n[]\n" + line(*SEARCHES))
    return tmp_path


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["trace", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize("wanted", [TRACE, "abc-1"])
def test_a_trace_is_a_tree_in_the_order_of_time(folder: Path, wanted: str) -> None:
    """By the id of the trace, or by that of its request; files and lines have its spans in any order."""
    lines = run(wanted, "--dir", folder).splitlines()
    assert lines[0] == f"trace {TRACE}  2027-01-15T08:00:00.000Z  request abc-1"
    assert [" ".join(each.replace("━", "").split()) for each in lines[1:]] == [
        "starts takes",
        "POST /api/checkout 0.0ms 2.000s 200, 2.4.1, shop-1",
        "│ · circuit breaker open at 1.001s",
        "├─ payments 1.0ms 1.000s timeout: no answer within 1 s",
        "│ └─ pool wait 1.0ms 250.0ms",
        "└─ payments 1.101s 899.0ms retry 1",
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["abc-1", "s-1", "s-2", "s-3", "s-4", "s-5"]),
        (["-n", "2"], ["s-4", "s-5"]),
        (["--slowest", "2"], ["abc-1", "s-5"]),
        (["--failed"], ["s-3"]),
        (["--route", "/api/search", "--slowest", "1"], ["s-5"]),
    ],
)
def test_requests_are_listed(folder: Path, options: list[str], names: list[str]) -> None:
    found = [json.loads(each)["spanId"] for each in run("--dir", folder, "--json", *options).splitlines()]
    assert found == names


def test_a_listed_request_has_the_id_of_its_trace(folder: Path) -> None:
    assert run("--dir", folder, "--failed").split() == [
        "2027-01-15T08:00:00.030Z",
        f"{3:032x}",
        "503",
        "0.003s",
        "GET",
        "/api/search",
    ]


def test_what_is_not_there_is_an_error(folder: Path, tmp_path: Path) -> None:
    assert "no spans of abc-2" in run("abc-2", "--dir", folder, code=1)
    assert "no request is that" in run("--route", "/none", "--dir", folder, code=1)
    assert "no lab runs here" in run("abc-1", code=1)
    assert "goes without" in run("abc-1", "--failed", code=2)


def test_control_characters_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(span("1", "", "\x1b[31mred", 0, 1)))
    assert r"\x1b[31mred" in run(TRACE, "--dir", tmp_path)


def test_the_running_lab_has_the_spans(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAOSAPI_LAB")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    here = dict.fromkeys(("service", "admin", "prometheus", "alertmanager", "locust"), "http://127.0.0.1:1")
    with published(LabAddresses(**here, traces=str(folder))):
        assert "payments" in run("abc-1")
    with published(LabAddresses(**here)):
        assert "pip install 'chaosapi[tracing]'" in run("abc-1", code=1)
