"""Service level objectives in Sloth's file formats, plain or as a Kubernetes object.

Source of the formats: https://sloth.dev/specs/default/ and https://sloth.dev/specs/kubernetes/ (github.com/slok/sloth,
pkg/prometheus/api/v1 and pkg/kubernetes/api/sloth/v1). The Kubernetes format adds an envelope and spells fields in
camelCase.
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from chaosapi import errors
from chaosapi.alert_labels import FIXED
from chaosapi.slo import document, promql, result_labels
from chaosapi.slo.document import Document, InvalidFile

KUBERNETES: Final = "sloth.slok.dev/v1"
_EVENTS_OR_RAW: Final = "needs exactly one of `events` and `raw`"
_WINDOW = re.compile(r"\{\{-?\s*\.window\s*-?\}\}")


class SpecModel(document.FileModel):
    """Base of models with two spellings of each field: `error_query` in the plain form, `errorQuery` in Kubernetes."""

    model_config = ConfigDict(alias_generator=to_camel)


def _query(text: str) -> str:
    if not _WINDOW.search(text):
        raise ValueError("a query needs [{{.window}}] where the range goes")
    if "{{" in _WINDOW.sub("", text):
        raise ValueError("{{.window}} is the only template variable a query may use")
    example = _WINDOW.sub("5m", text)
    promql.check(example)
    if promql.hidden_by_vector(example):
        raise ValueError("vector(…) or … is always the vector: write the query first, as in sum(…) or vector(0)")
    if sides := result_labels.mismatch(example):
        raise ValueError(
            f"the two sides of an operator have different labels, so they match nothing: {sides[0]}, and {sides[1]}; "
            "aggregate both by the same labels, or match them with on() or ignoring()"
        )
    return text.strip()


def _refuse_plugin(_: Any) -> None:
    raise ValueError(
        "a plugin is code that runs inside Sloth: leave the plugin out, and write its queries under `events`"
    )


Query = Annotated[str, AfterValidator(_query)]
"""PromQL with `{{.window}}` in place of the range."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
"""Letters, digits and `-_.`, starting and ending with a letter or digit, as Sloth requires."""

LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Labels = dict[LabelName, str]

Plugin = Annotated[None, BeforeValidator(_refuse_plugin)]
"""A field of Sloth's format that is always refused."""


class EventsIndicator(SpecModel):
    """Queries for the rates of bad and of all events over the window."""

    error_query: Query
    total_query: Query

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        """Refuse queries of which no error would be divided by the total that it belongs to."""
        error_query = _WINDOW.sub("5m", self.error_query)
        total_query = _WINDOW.sub("5m", self.total_query)
        error = result_labels.result_labels(error_query)
        total = result_labels.result_labels(total_query)
        if error and total and error.differs(total):
            raise ValueError(
                f"error_query leaves {error}, total_query leaves {total}: errors would never match their total, and "
                "the error ratio would always be 0; aggregate both by the same labels, such as sum() without `by`"
            )
        if reason := _uncounted(error_query, total_query):
            raise ValueError(reason)
        conditions = promql.conditions(error_query) - promql.conditions(total_query)
        kept = sorted(each.label for each in conditions if error and error.keeps(each.label))
        if kept:
            raise ValueError(
                f"error_query selects bad events by the label {kept[0]} and keeps it: each ratio would be 0 or 1; "
                f"aggregate both queries without {kept[0]}"
            )
        return self


def _uncounted(error_query: str, total_query: str) -> str | None:
    """Return which bad events of two valid queries the total leaves out by its conditions; None if none need be."""
    counted = promql.selectors(total_query)
    for one in promql.selectors(error_query):
        same = [each for each in counted if each.metric == one.metric]
        if same and not any(each.may_overlap(one) for each in same):
            return f"total_query does not count the bad events that error_query selects, {one}: it selects {same[0]}"
    return None


class RawIndicator(SpecModel):
    """A query that returns an error ratio (0 to 1)."""

    error_ratio_query: Query


class ServiceLevelIndicator(SpecModel):
    """The service level indicator: either events or a raw ratio."""

    events: EventsIndicator | None = None
    raw: RawIndicator | None = None
    plugin: Plugin = None

    @model_validator(mode="before")
    @classmethod
    def _one(cls, data: Any) -> Any:
        if isinstance(data, dict):
            given = [name for name in ("events", "raw", "plugin") if data.get(name) is not None]
            if len(given) != 1:
                raise ValueError(_EVENTS_OR_RAW)
        return data

    @property
    def queries(self) -> dict[str, str]:
        """Return the queries by field, with a window of 5m."""
        part = self.events or self.raw
        return {field: _WINDOW.sub("5m", query) for field, query in part.model_dump().items()} if part else {}

    def error_ratio(self, window: str) -> str:
        """Return PromQL for the ratio of bad events over `window` ("5m"): absent, never NaN, without events.

        While no bad event has occurred its series is missing, and the ratio is 0.
        """
        if self.raw:
            query = _WINDOW.sub(window, self.raw.error_ratio_query)
            return f"(\n{_indent(query)}\n) > -Inf"  # true of every number but NaN
        if self.events is None:
            raise ValueError(_EVENTS_OR_RAW)
        error = _indent(_WINDOW.sub(window, self.events.error_query))
        total = _indent(_WINDOW.sub(window, self.events.total_query))
        return f"((\n{error}\n) or 0 * (\n{total}\n))\n/\n((\n{total}\n) > 0)"

    def failures(self, window: float, name: str) -> str:
        """Return PromQL for the number of bad events over `window` (seconds; `name` in PromQL).

        Raises ValueError for a raw ratio, and for events that are not counted with rate() or increase().
        """
        if self.events is None:
            raise ValueError("a raw ratio does not contain the number of bad events")
        per_second = {"rate": f" * {window:.12g}", "increase": ""}
        how = promql.range_functions(self.queries["error_query"])
        if len(how) != 1 or not how <= per_second.keys():
            raise ValueError("to count bad events, use either rate() or increase()")
        return f"(\n{_indent(_WINDOW.sub(name, self.events.error_query))}\n){per_second[how.pop()]}"

    @property
    def jobs(self) -> list[str]:
        """Return the scrape jobs that the queries name with `job="…"`, sorted."""
        return sorted({job for query in self.queries.values() for job in promql.exact_values(query, "job")})


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


class AlertSettings(SpecModel):
    """Settings for the alerts of one severity."""

    disable: bool = False
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)


class AlertSpec(SpecModel):
    """Name, labels and annotations of an SLO's alerts."""

    name: Annotated[str, Field(min_length=1)] = "ErrorBudgetBurn"
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)
    page_alert: AlertSettings = AlertSettings()
    ticket_alert: AlertSettings = AlertSettings()


class Objective(SpecModel):
    """One service level objective; `objective` is a percentage, as in 99.9."""

    name: Name
    objective: Annotated[Decimal, Field(gt=0, lt=100)]
    description: str = ""
    labels: Labels = Field(default_factory=dict)
    sli: ServiceLevelIndicator
    alerting: AlertSpec
    plugins: Plugin = None

    @property
    def ratio(self) -> float:
        """Return the objective as a ratio: 0.999 for 99.9."""
        return float(self.objective / 100)

    @property
    def budget(self) -> float:
        """Return the error budget B = 1 - objective as a ratio: 0.001 for 99.9, exact to the last digit written."""
        return float(1 - self.objective / 100)


class Spec(SpecModel):
    """The objectives of one service, read from either form."""

    version: Literal["prometheus/v1", "sloth.slok.dev/v1"]
    service: Name
    labels: Labels = Field(default_factory=dict)
    slos: Annotated[list[Objective], Field(min_length=1)]
    slo_plugins: Plugin = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [slo.name for slo in self.slos]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"every SLO needs a name of its own: {', '.join(twice)} is there twice")
        return self

    @property
    def jobs(self) -> list[str]:
        """Return the scrape jobs that any query names, sorted."""
        return sorted({job for slo in self.slos for job in slo.sli.jobs})

    def find(self, name: str) -> Objective:
        """Return the SLO of this name, or `service-name`; raises errors.Invalid that lists the known names."""
        for slo in self.slos:
            if name in {slo.name, f"{self.service}-{slo.name}"}:
                return slo
        known = ", ".join(slo.name for slo in self.slos)
        raise errors.Invalid.field("slo", f"there is no SLO {name!r}: choose one of {known}")

    def only(self, name: str) -> Self:
        """Return the spec with this SLO alone; raises errors.Invalid that lists the known names."""
        return self.model_copy(update={"slos": [self.find(name)]})

    def identity_labels(self, slo: Objective) -> dict[str, str]:
        """Return the labels that identify one SLO, named as Sloth names them."""
        return {"sloth_id": f"{self.service}-{slo.name}", "sloth_service": self.service, "sloth_slo": slo.name}

    def recorded_labels(self, slo: Objective) -> dict[str, str]:
        """Return the labels of every series recorded for an SLO: its identity and the labels of spec and SLO."""
        given = {name: value for name, value in (self.labels | slo.labels).items() if name not in FIXED}
        return self.identity_labels(slo) | given


class _PlainSpec(Spec):
    version: Literal["prometheus/v1"]


class _KubernetesSpec(Spec):
    version: Literal["sloth.slok.dev/v1"] = KUBERNETES


class _ServiceLevel(SpecModel):
    """The Kubernetes object around a spec."""

    api_version: Literal["sloth.slok.dev/v1"]
    kind: Literal["PrometheusServiceLevel"]
    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: _KubernetesSpec
    status: Any = None


def read_document(found: Document) -> Spec:
    """Read one document of either form; raises InvalidFile with line and field of every mistake."""
    if isinstance(found.data, dict):
        kind = found.data.get("kind")
        api = str(found.data.get("apiVersion"))
        if kind == "PrometheusServiceLevel":
            return found.into(_ServiceLevel, by_alias=True).spec
        known = "known are Sloth's plain form, `version: prometheus/v1`, and its kind PrometheusServiceLevel"
        if api.startswith("openslo/"):
            raise InvalidFile(found.source, [found.mistake(("apiVersion",), f"OpenSLO is not supported: {known}")])
        if kind is not None:
            raise InvalidFile(found.source, [found.mistake(("kind",), f"the kind {kind} is not supported: {known}")])
    return found.into(_PlainSpec)


def parse(text: str, source: str) -> list[Spec]:
    """Read every document of YAML text; raises InvalidFile with line and field of every mistake."""
    return [read_document(each) for each in document.documents(text, source) or [Document(source, None, None)]]


def load(path: Path) -> Spec:
    """Read the one spec of a file; raises errors.Invalid with line and field of every mistake."""
    return read_document(document.single(document.documents(document.read_text(path), str(path)), str(path)))


def load_all(path: Path) -> list[Spec]:
    """Read every spec of a file; raises errors.Invalid with line and field of every mistake."""
    return parse(document.read_text(path), str(path))
