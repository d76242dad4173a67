"""A client of Prometheus' HTTP API, version 1; it returns Prometheus' own JSON. Times are Unix seconds."""

from http import HTTPStatus
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from chaosapi.clients.errors import RefusedError
from chaosapi.clients.exchange import AsyncClient, Client, Exchange, Json, asked, awaitable, blocking, checked, ready


class _Build(TypedDict):
    version: str


class _Series(TypedDict):
    metric: dict[str, str]
    value: NotRequired[tuple[float, str]]
    values: NotRequired[list[tuple[float, str]]]


class _Result(TypedDict):
    result: list[_Series] | tuple[float, str]


class _Group(TypedDict):
    name: str
    interval: float
    rules: list[Json]


class _Groups(TypedDict):
    groups: list[_Group]


class _Alert(TypedDict):
    labels: dict[str, str]
    state: str


class _Alerts(TypedDict):
    alerts: list[_Alert]


class _Target(TypedDict):
    labels: dict[str, str]
    health: str


class _Targets(TypedDict):
    activeTargets: list[_Target]


def is_ready() -> Exchange[bool]:
    """Return whether Prometheus is ready to serve queries."""
    return ready("/-/ready")


def major_version() -> Exchange[Literal[2, 3]]:
    """Return the major version; later versions count as 3."""
    found = yield from _data("status/buildinfo", _Build)
    return 2 if found["version"].startswith("2.") else 3


def query(expression: str, at: float | None = None) -> Exchange[list[Json]]:
    """Return the series of an expression, now or at a time."""
    found = yield from _data("query", _Result, query=expression, time=at)
    result: list[Json] = found["result"]
    return result


def value(expression: str) -> Exchange[float | None]:
    """Return the value of an expression with one result, None without a result."""
    found = yield from query(expression)
    return float(found[0]["value"][1]) if found else None


def samples(selector: str) -> Exchange[list[list[tuple[float, float]]]]:
    """Return the stored (time, value) samples of each series that a range selector matches."""
    found = yield from query(selector)
    return [[(float(time), float(value)) for time, value in series["values"]] for series in found]


def query_range(expression: str, start: float, end: float, step: float) -> Exchange[list[Json]]:
    """Return the series of an expression from start to end, a value every `step` seconds."""
    found = yield from _data("query_range", _Result, query=expression, start=start, end=end, step=step)
    result: list[Json] = found["result"]
    return result


def groups(kind: Literal["alert", "record"] | None = None) -> Exchange[list[Json]]:
    """Return the rule groups, with all rules or those of one kind."""
    found = yield from _data("rules", _Groups, type=kind)
    result: list[Json] = found["groups"]
    return result


def alerts() -> Exchange[list[Json]]:
    """Return the alerts that are pending or firing."""
    found = yield from _data("alerts", _Alerts)
    result: list[Json] = found["alerts"]
    return result


def targets() -> Exchange[list[Json]]:
    """Return the active scrape targets."""
    found = yield from _data("targets", _Targets, state="active")
    result: list[Json] = found["activeTargets"]
    return result


def label_values(label: str, selector: str) -> Exchange[list[str]]:
    """Return the values of a label among the series that a selector matches."""
    return _data(f"label/{label}/values", list[str], **{"match[]": selector})


def label_names(selector: str) -> Exchange[list[str]]:
    """Return the names of the labels of the series that a selector matches."""
    return _data("labels", list[str], **{"match[]": selector})


def _data(path: str, shape: Any, **parameters: str | float | None) -> Exchange[Any]:
    answer = yield from asked("GET", f"/api/v1/{path}", Json, params=parameters)
    if answer.get("status") != "success":
        raise RefusedError(str(answer.get("error", answer)), HTTPStatus.OK)
    return checked(answer.get("data"), shape, HTTPStatus.OK)


class PrometheusClient(Client):
    """A client of Prometheus; every method raises ClientError."""

    is_ready = blocking(is_ready)
    major_version = blocking(major_version)
    query = blocking(query)
    value = blocking(value)
    samples = blocking(samples)
    query_range = blocking(query_range)
    groups = blocking(groups)
    alerts = blocking(alerts)
    targets = blocking(targets)
    label_values = blocking(label_values)
    label_names = blocking(label_names)


class AsyncPrometheusClient(AsyncClient):
    """PrometheusClient with `await`."""

    is_ready = awaitable(is_ready)
    major_version = awaitable(major_version)
    query = awaitable(query)
    value = awaitable(value)
    samples = awaitable(samples)
    query_range = awaitable(query_range)
    groups = awaitable(groups)
    alerts = awaitable(alerts)
    targets = awaitable(targets)
    label_values = awaitable(label_values)
    label_names = awaitable(label_names)
