"""Annotations of alerts: what is wrong, the burn rate, the time until the budget is spent, and links."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import yaml

from chaosapi import errors
from chaosapi.slo import document
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair, format_window

RUNBOOKS = "alerts/runbooks"
DASHBOARDS = "/d"
"""The links are paths: rules do not know the address of Grafana, unless LinkBases adds one."""

_BASE = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d+)?(/[\w.~%/-]*)?")

_DURATION = '{{{{ with printf "{query}" $value | query }}}}{{{{ . | first | value | humanizeDuration }}}}{{{{ end }}}}'
_PERCENTAGE = (
    '{{{{ with printf "{query}" $value | query }}}}{{{{ . | first | value | humanizePercentage }}}}{{{{ end }}}}'
)
_LEFT = (
    '{{{{ with query "round(clamp_min({query}, 0), 0.001)" }}}}, and '
    "{{{{ . | first | value | humanizePercentage }}}} of it is left{{{{ end }}}}"
)
"""Rule templates cannot calculate, but PromQL can: printf puts the alert's value into the query in place of `%f`."""


@dataclass(frozen=True)
class LinkBases:
    """Base addresses for links that are paths; with an empty base address the links stay paths.

    Raises errors.Invalid, by the option's name, for a base that is not an http(s) address.
    """

    grafana: str = ""
    runbooks: str = ""
    shipped: bool = True
    """Whether the readers of the alerts have chaosapi's dashboards and runbooks, as those of the shop do."""

    def __post_init__(self) -> None:
        for option, base in self._given():
            if not _BASE.fullmatch(base):
                raise errors.Invalid.field(option, f"{base}: write a base address such as https://example.com/shop")

    @property
    def dashboards(self) -> bool:
        """Return whether alerts link to chaosapi's dashboards."""
        return self.shipped or bool(self.grafana)

    def complete(self, annotations: dict[str, str]) -> dict[str, str]:
        """Return an alert's annotations with complete links; links that have an address or a template are unchanged."""
        links = (("dashboard_url", self.grafana), ("runbook_url", self.runbooks))
        return annotations | {
            name: f"{base.rstrip('/')}/{annotations[name].lstrip('/')}"
            for name, base in links
            if base and name in annotations and not re.match(r"\w+:|//|\{\{", annotations[name])
        }

    def complete_rules(self, rules: str) -> str:
        """Return the text of generated rules, plain or a PrometheusRule, with complete links in every alert."""
        if not any((self.grafana, self.runbooks)):
            return rules
        data = yaml.safe_load(rules)
        for group in data.get("spec", data)["groups"]:
            for rule in group["rules"]:
                if "annotations" in rule:
                    rule["annotations"] = self.complete(rule["annotations"])
        _, command, *_ = rules.split("`")  # the first line names the command that made the rules
        return document.write(data, " ".join([command, *(f"{option} {base}" for option, base in self._given())]))

    def _given(self) -> list[tuple[str, str]]:
        options = (("--grafana-url", self.grafana), ("--runbook-url", self.runbooks))
        return [(option, base) for option, base in options if base]


SHIPPED: Final = LinkBases()


def pair_annotations(
    spec: Spec, slo: Objective, profile: Profile, pair: WindowPair, remaining: str, links: LinkBases = SHIPPED
) -> dict[str, str]:
    """Return the annotations of a pair's alert; `remaining` is the query for the share of the budget that is left."""
    fast = '{{ printf "%.1f" $value }}×'
    promise = f"{spec.service} {slo.name} ({slo.objective.normalize():f}%)"
    budget = f"{_adjective(profile.period)} error budget"
    exhaustion = _DURATION.format(query=f"round(vector({profile.period:.12g} / %f), {profile.step:.12g})")
    reset = _DURATION.format(query=f"{pair.short:.12g} * (1 - {pair.factor:g} / %f)")
    ratio = _PERCENTAGE.format(query=f"%f * {slo.budget:.12g}")
    left = _LEFT.format(query=remaining.replace('"', "'"))
    notified = {"page": "Paged", "ticket": "Ticketed"}[pair.severity]
    texts = {
        "summary": f"{promise} burns its {budget} {fast} too fast",
        "description": (
            f"Burning the {budget} {fast} too fast; at this pace a full one is gone in {exhaustion}{left}. "
            f"Over the last {format_window(pair.short)} {ratio} of all events went wrong; {100 * slo.budget:g}% may. "
            f"{notified} by {pair}: both windows burn more than {pair.factor:g}× too fast. "
            f"Once the errors stop, this alert resets after {reset}."
        ),
    }
    dashboard = dashboard_path("chaosapi-slo", 2 * pair.long, slo=spec.identity_labels(slo)["sloth_id"])
    return texts | ({"dashboard_url": dashboard} if links.dashboards else {})


def absence_annotations(spec: Spec, job: str, links: LinkBases = SHIPPED) -> dict[str, str]:
    """Return the annotations of the alert on a job without targets."""
    names = " or ".join(dict.fromkeys(slo.alerting.name for slo in spec.slos))
    texts = {
        "summary": f"Prometheus cannot scrape {job}",
        "description": f"No target of the job {job} is up: it is gone, or does not answer scrapes. "
        f"Until it is back, the SLOs of {spec.service} see nothing, and no {names} can fire.",
    }
    if links.shipped or links.runbooks:
        texts["runbook_url"] = f"{RUNBOOKS}/TargetAbsent.md"
    if links.dashboards:
        texts["dashboard_url"] = dashboard_path("chaosapi-golden-signals", 3600, job=job)
    return texts


def dashboard_path(uid: str, back: float, **variables: str) -> str:
    """Return the path of a Grafana dashboard that shows the last `back` seconds; variables by their names there."""
    chosen = {f"var-{name}": value for name, value in variables.items()}
    return f"{DASHBOARDS}/{uid}?{urlencode(chosen | {'from': f'now-{back:.0f}s', 'to': 'now'})}"


def _adjective(period: float) -> str:
    """Return a period as an adjective: "30-day", for "a 30-day budget"."""
    for name, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if period % seconds == 0:
            return f"{period / seconds:.0f}-{name}"
    return format_window(period)
