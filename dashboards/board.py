"""What all dashboards have in common: variables, links, annotations, and how panels are put in rows."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

import runbooks
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model
from panels import PROMETHEUS, RED, Panel, link
from status import PAGE

from chaosapi.promql import firing

LEARNER = "chaosapi"
INSTRUCTOR = "chaosapi-instructor"
"""The tags of the two sets: dashboards of the learner's neither show faults nor link to those that do."""

Variable = build.DatasourceVariable | build.QueryVariable

DATASOURCE = build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def variable(name: str, label: str, query: str) -> build.QueryVariable:
    """Return a choice among what a query finds."""
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def several(name: str, label: str, query: str) -> build.QueryVariable:
    """Return a choice of any number of what a query finds, at first all."""
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    return variable(name, label, query).multi(True).include_all(True).all_value(".+").current(everything)


JOB = variable("job", "Service", "label_values(chaosapi_build_info, job)")
ROUTE = several("handler", "Route", 'label_values(http_requests_total{job="$job"}, handler)')
INSTANCE = several("instance", "Replica", 'label_values(up{job="$job"}, instance)')


class Annotation(model.AnnotationQuery):
    """A region for as long as a query has a value, with a toggle at the top that hides it."""

    def __init__(self, name: str, color: str, expr: str, title: str, text: str) -> None:
        super().__init__(name=name, datasource=PROMETHEUS, enable=True, hide=False, icon_color=color)
        self.expr = expr
        self._title = title
        self._text = text

    def hidden(self) -> "Annotation":
        """Return it switched off at first."""
        other = copy(self)
        other.enable = False
        return other

    def to_json(self) -> dict[str, object]:
        """Return the JSON, with the fields of Grafana's Prometheus annotations that the SDK does not know."""
        return {
            **super().to_json(),
            "step": "1s",
            "target": {"expr": self.expr, "interval": "1s", "refId": "Anno"},
            "titleFormat": self._title,
            "textFormat": self._text,
        }


_STRENGTH = 'chaosapi_fault_strength{job="$job"}'

PAGES = Annotation(
    "Pages",
    RED,
    firing("alertname", "slo", "severity", where=PAGE),
    "{{alertname}} {{slo}}",
    "A {{severity}} fires.",
)
FAULTS = Annotation(
    "Faults",
    "purple",
    f"max by (fault, effect) ({_STRENGTH} or {_STRENGTH} offset 2s) > 0",  # one missed scrape leaves no gap
    "{{fault}}",
    "{{effect}} fault",
)


@dataclass(frozen=True)
class Board:
    """A dashboard: panels that always show on top, then the rows by title, then those that are folded at first."""

    uid: str
    title: str
    about: str
    variables: Sequence[Variable]
    top: Sequence[Panel]
    rows: Mapping[str, Sequence[Panel]]
    folded: Mapping[str, Sequence[Panel]] = field(default_factory=dict)
    annotations: Sequence[Annotation] = (PAGES,)
    tag: str = LEARNER
    span: str = "15m"
    refresh: str = "5s"

    def build(self) -> model.Dashboard:
        """Return it as the SDK's model, its panels numbered from 1 unless they bring an id."""
        made = (
            build.Dashboard(self.title)
            .uid(self.uid)
            .description(self.about)
            .tags([self.tag])
            .timezone("browser")
            .time(f"now-{self.span}", "now")
            .refresh(self.refresh)
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .link(_others())
            .link(link("Runbooks", runbooks.INDEX).tooltip("What to do about each alert"))
            .readonly()
        )
        for each in (DATASOURCE, *self.variables):
            made.with_variable(each)
        for panel in self.top:
            made.with_panel(panel)
        for title, panels in self.rows.items():
            made.with_row(build.Row(title))
            for panel in panels:
                made.with_panel(panel)
        for title, panels in self.folded.items():
            row = build.Row(title).collapsed(True)
            for panel in panels:
                row.with_panel(panel)
            made.with_row(row)
        finished = made.build()
        shown = [each for item in finished.panels or [] for each in (item, *getattr(item, "panels", []))]
        for place, item in enumerate(shown, start=1):
            item.id_val = item.id_val or place
        finished.annotations = model.AnnotationContainer(list_val=list(self.annotations))
        return finished


def _others() -> build.DashboardLink:
    kind = model.DashboardLinkType.DASHBOARDS
    return build.DashboardLink("Dashboards").type(kind).tags([LEARNER]).keep_time(True).include_vars(True)
