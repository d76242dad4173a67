"""Spans in files of OTLP in lines of JSON: read, select and render them as trees."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

REQUEST_ID: Final = "http.request.header.x-request-id"
_NS: Final = 1_000_000_000
_ERROR: Final = 2
_BAR: Final = 24
_NAME: Final = 44


class Event(NamedTuple):
    """What happened at a moment of a span."""

    at_ns: int
    name: str


class Span(NamedTuple):
    """A span; `attributes` has those of its process, too. Times are Unix nanoseconds."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    events: Sequence[Event]
    failed: bool
    message: str
    """Why it failed, where that is known."""
    source: Mapping[str, Any]
    """The span as it was written."""

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / _NS

    @property
    def request_id(self) -> str:
        found = self.attributes.get(REQUEST_ID)
        return str(found[0]) if isinstance(found, list) and found else ""


def read(folder: Path, containing: str = "") -> Iterator[Span]:
    """Yield the spans of all files; only those of lines with that text. Raises OSError."""
    wanted = containing.encode()
    for path in sorted(folder.glob("*.jsonl*")):
        with path.open("rb") as file:
            for line in file:
                if wanted in line:
                    yield from parse(line)


def parse(line: bytes) -> Iterator[Span]:
    """Yield the spans of an export request; a line that is not one has none, such as one that is being written."""
    try:
        for resource in json.loads(line)["resourceSpans"]:
            common = _attributes(resource["resource"])
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield _span(span, common)
    except (ValueError, KeyError, TypeError, RecursionError):
        return


def _span(span: Mapping[str, Any], common: Mapping[str, Any]) -> Span:
    status = span.get("status", {})
    return Span(
        str(span["traceId"]),
        str(span["spanId"]),
        str(span.get("parentSpanId", "")),
        str(span["name"]),
        int(span["startTimeUnixNano"]),
        int(span["endTimeUnixNano"]),
        {**common, **_attributes(span)},
        [Event(int(each["timeUnixNano"]), str(each["name"])) for each in span.get("events", ())],
        status.get("code") == _ERROR,
        str(status.get("message", "")),
        span,
    )


def _attributes(found: Mapping[str, Any]) -> dict[str, Any]:
    return {str(each["key"]): _value(each["value"]) for each in found.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:
    kind, found = next(iter(value.items()))
    if kind == "arrayValue":
        return [_value(each) for each in found.get("values", ())]
    return int(found) if kind == "intValue" else found


def find(folder: Path, wanted: str) -> list[Span]:
    """Return the spans of the trace with that id, or of the request with that id; raises OSError."""
    found = [span for span in read(folder, wanted) if wanted in {span.trace_id, span.request_id}]
    traces = {span.trace_id for span in found}
    if wanted in traces or not traces:
        return found
    return [span for each in sorted(traces) for span in read(folder, each) if span.trace_id == each]


def requests(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans of requests that a service served."""
    return (span for span in spans if "http.route" in span.attributes and "http.request.method" in span.attributes)


class TreeLine(NamedTuple):
    """A line of a tree."""

    text: str
    failed: bool


def tree(spans: Sequence[Span]) -> Iterator[TreeLine]:
    """Yield the lines of a trace: a span each, its children below it, in the order of their start.

    A span whose parent is not there, because it is a client's or another process has it, is a root.
    """
    start = min(span.start_ns for span in spans)
    length = max(1, max(span.end_ns for span in spans) - start)
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id not in ids]
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id, []).append(span)

    def below(siblings: list[Span], indent: str, *, top: bool) -> Iterator[TreeLine]:
        siblings.sort(key=lambda span: (span.start_ns, span.end_ns))
        for number, span in enumerate(siblings, 1):
            last = number == len(siblings)
            branch = "" if top else indent + ("└─ " if last else "├─ ")
            deeper = "" if top else indent + ("   " if last else "│  ")
            yield _line(branch, span, start, length)
            inner = children.pop(span.span_id, [])
            for event in span.events:
                yield TreeLine(
                    f"{deeper}{'│  ' if inner else '   '}· {event.name} at {_time(event.at_ns - start)}", failed=False
                )
            yield from below(inner, deeper, top=False)

    yield TreeLine(f"{'':<{_NAME}} {'starts':>9} {'takes':>9}", failed=False)
    yield from below(roots, "", top=True)


def _line(branch: str, span: Span, start: int, length: int) -> TreeLine:
    left = round(_BAR * (span.start_ns - start) / length)
    width = max(1, round(_BAR * (span.end_ns - span.start_ns) / length))
    bar = f"{' ' * min(left, _BAR - 1)}{'━' * width}"[:_BAR]
    name = f"{branch}{span.name}"
    times = f"{_time(span.start_ns - start):>9} {_time(span.end_ns - span.start_ns):>9}"
    return TreeLine(f"{name:<{_NAME}} {times}  {bar:<{_BAR}}  {', '.join(_details(span))}".rstrip(), span.failed)


def _details(span: Span) -> Iterator[str]:
    attributes = span.attributes
    if "http.response.status_code" in attributes:
        yield str(attributes["http.response.status_code"])
    if "http.request.resend_count" in attributes:
        yield f"retry {attributes['http.request.resend_count']}"
    if span.failed:
        kind = str(attributes.get("error.type", "error"))
        if kind != str(attributes.get("http.response.status_code")):
            yield f"{kind}: {span.message}" if span.message else kind
    if "http.route" in attributes:
        yield from (str(attributes[name]) for name in ("service.version", "service.instance.id") if name in attributes)


def _time(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.1f}ms" if nanoseconds < _NS else f"{nanoseconds / _NS:.3f}s"


def moment(span: Span) -> str:
    """Return when a span began, in UTC."""
    return datetime.fromtimestamp(span.start_ns / _NS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
