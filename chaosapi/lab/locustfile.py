"""A Locust file that walks the GET routes of a service: paths from its OpenAPI document, written as Python to copy."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from chaosapi.lab.errors import LabError
from chaosapi.routes import is_probe

_PARAMETER: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
_MAX_DEPTH: Final = 20  # schemas may refer to themselves
DOCUMENT: Final = "/openapi.json"
_FORMATS: Final = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "a@example.com",
}

_FILE: Final = '''\
"""Traffic for {host}: every GET route in turn, made by `chaosapi lab` from {source}.

Copy this file, change it, and run `chaosapi lab … --locustfile FILE`. Each user sends one request a second.
"""

from itertools import cycle

import gevent
from locust import HttpUser, constant_throughput, task

HEADERS: dict[str, str] = {{}}  # for every request, such as {{"authorization": "Bearer …"}}
ROUTES = cycle(
    [  # the route, a path of it, and headers that it asks for
{routes}
    ]
)


class Visitor(HttpUser):
    """Starts its requests on time, however slow the answers are: it does not wait for them."""

    wait_time = constant_throughput(1)

    @task
    def visit(self) -> None:
        route, path, headers = next(ROUTES)
        gevent.spawn(self.client.get, path, name=route, headers=HEADERS | headers, timeout=30)
'''


class Visit(NamedTuple):
    """One route with an example of its path, query and headers included."""

    route: str
    path: str
    headers: Mapping[str, str]


def write(host: str, documents: Mapping[str, Mapping[str, Any]], templates: Iterable[str]) -> str:
    """Return the Locust file: the routes of OpenAPI documents first, then those of `templates` that they leave out.

    `documents` has one for each app, by the path at which it is mounted: "" for the outermost. `templates` are the GET
    routes that the service counts. Probes are left out: no fault hits them. Raises LabError where no route is left.
    """
    described = _described(documents)
    others = map(_undescribed, undescribed(documents, templates))
    found = [visit for visit in (*described, *filter(None, others)) if not is_probe(visit.route)]
    if not found:
        raise LabError(f"{host} has no GET route to send requests to: give a Locust file of your own (--locustfile)")
    lines = [f"        ({_text(each.route)}, {_text(each.path)}, {json.dumps(each.headers)})," for each in found]
    source = "its OpenAPI document" if described else "its metrics"
    return _FILE.format(host=host, source=source, routes="\n".join(lines))


def undescribed(documents: Mapping[str, Mapping[str, Any]], templates: Iterable[str]) -> list[str]:
    """Return the templates that no document describes."""
    known = {visit.route for visit in _described(documents)}
    return [template for template in templates if _PARAMETER.sub(r"{\1}", template) not in known]


def mounts(templates: Iterable[str]) -> list[str]:
    """Return the paths at which apps with these routes may be mounted: all that come before their last segments."""
    return list(dict.fromkeys(mount for template in templates for mount in _parents(template.partition("{")[0])))


def _parents(path: str) -> list[str]:
    ends = [end for end, character in enumerate(path) if character == "/" and end]
    return [path[:end] for end in ends]


def _described(documents: Mapping[str, Mapping[str, Any]]) -> list[Visit]:
    return [
        visit._replace(route=prefix + visit.route, path=prefix + visit.path)
        for prefix, document in documents.items()
        for visit in visits_of(document)
    ]


def visits_of(document: Mapping[str, Any]) -> list[Visit]:
    """Return a visit of every GET operation of an OpenAPI document."""
    return [
        _visit(path, item, document)
        for path, item in document.get("paths", {}).items()
        if isinstance(item.get("get"), dict)
    ]


def _visit(path: str, item: Mapping[str, Any], document: Mapping[str, Any]) -> Visit:
    listed = [*item.get("parameters", []), *item["get"].get("parameters", [])]
    values: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
    for parameter in (_resolved(each, document) for each in listed):
        place = values.get(parameter.get("in", ""))
        if place is not None and (parameter.get("required") or _stated(parameter, document) is not None):
            place[parameter["name"]] = _example(parameter, document)
    filled = _PARAMETER.sub(lambda found: quote(_plain(values["path"].get(found[1], 1)), safe=""), path)
    query = urlencode({name: value for name, value in values["query"].items() if value is not None}, doseq=True)
    headers = {name: _plain(value) for name, value in values["header"].items()}
    if values["cookie"]:
        headers["cookie"] = "; ".join(f"{name}={_plain(value)}" for name, value in values["cookie"].items())
    return Visit(path, f"{filled}?{query}" if query else filled, headers)


def _undescribed(template: str) -> Visit | None:
    """Return a visit of a route that only metrics name; None for one that takes any path."""
    if any(found[2] == "path" for found in _PARAMETER.finditer(template)):
        return None
    return Visit(_PARAMETER.sub(r"{\1}", template), _PARAMETER.sub("1", template), {})


def _stated(parameter: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    """Return the explicit example of a parameter or of its schema; None if there is none."""
    schema = _resolved(parameter.get("schema", {}), document)
    named = [_resolved(each, document).get("value") for each in parameter.get("examples", {}).values()]
    listed = schema.get("examples", [])
    candidates = (parameter.get("example"), *named, schema.get("example"), *listed)
    return next((value for value in candidates if value is not None), None)


def _example(parameter: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    stated = _stated(parameter, document)
    return _of_schema(parameter.get("schema", {}), document) if stated is None else stated


def _of_schema(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int = 0) -> Any:
    """Return a value that a schema allows, as far as its type, format and bounds say."""
    schema = _resolved(schema, document)
    for value in (schema.get("default"), schema.get("const"), *schema.get("enum", [])):
        if value is not None:
            return value
    variants = [each for word in ("anyOf", "oneOf", "allOf") for each in schema.get(word, [])]
    if variants and depth < _MAX_DEPTH:
        wanted = next((each for each in variants if _resolved(each, document).get("type") != "null"), variants[0])
        return _of_schema(wanted, document, depth + 1)
    return _of_type(schema, document, depth)


def _of_type(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int) -> Any:
    match schema.get("type"):
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "array":
            items = schema.get("items", {})
            return [_of_schema(items, document, depth + 1)] if depth < _MAX_DEPTH else []
    return _FORMATS.get(schema.get("format", ""), "1" * max(1, schema.get("minLength", 1)))


def _number(schema: Mapping[str, Any]) -> float:
    """Return the number nearest to 1 that the bounds allow."""
    above = schema.get("exclusiveMinimum")
    least = schema.get("minimum", 1 if above is None else above + 1)
    most = schema.get("maximum", max(1, least))
    nearest: float = min(max(1, least), most)
    return nearest


def _resolved(part: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference inside the document leads to, an empty object where it leads nowhere."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(part, Mapping):
            break
        if "$ref" not in part:
            return part
        found: Any = document
        for step in str(part["$ref"]).removeprefix("#/").split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        part = found
    return {}


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
