"""Spans in a file: OTLP as JSON, an export request a line, as the file exporter of OpenTelemetry's collector has it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MAX_BYTES: Final = 32 * 2**20
"""A longer file becomes the old one, which has the same name and the suffix `.old`, and replaces the former."""


class SpanFile:
    """An exporter of OpenTelemetry's SDK that appends spans to a file, which only this user may read."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
        """Append the spans; they are lost where the file cannot be written."""
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(file, "ab") as out:
                out.write(encode(spans))
                size = out.tell()
            if size > self._max_bytes:
                self._path.replace(self._path.with_suffix(f"{self._path.suffix}.old"))
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing: no file stays open."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return that nothing waits to be written."""
        return True


def encode(spans: "Sequence[ReadableSpan]") -> bytes:
    """Return an ExportTraceServiceRequest as a line of JSON; all spans are of one resource."""
    resource = {"attributes": _attributes(spans[0].resource.attributes)}
    scope = {"spans": [_span(span) for span in spans]}
    return orjson.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}) + b"\n"


def _span(span: "ReadableSpan") -> dict[str, Any]:
    context = span.get_span_context()
    assert context  # noqa: S101 - that of a recorded span
    found: dict[str, Any] = {
        "traceId": format_trace_id(context.trace_id),
        "spanId": format_span_id(context.span_id),
        "name": span.name,
        "kind": span.kind.value + 1,  # OTLP has a 0 for unknown
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes),
    }
    if span.parent:
        found["parentSpanId"] = format_span_id(span.parent.span_id)
    if span.events:
        found["events"] = [
            {"timeUnixNano": str(each.timestamp), "name": each.name, "attributes": _attributes(each.attributes)}
            for each in span.events
        ]
    if span.status.status_code.value:
        found["status"] = {"code": span.status.status_code.value}
        if span.status.description:
            found["status"]["message"] = span.status.description
    return found


def _attributes(attributes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case Iterable():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
        case _:
            return {"stringValue": str(value)}
