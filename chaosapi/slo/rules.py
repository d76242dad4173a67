"""Generate Prometheus rule groups from spec and profile: Sloth's recording rules by name and label, and our alerts."""

from typing import Any

from chaosapi import errors
from chaosapi.slo import feasibility
from chaosapi.slo.annotations import SHIPPED, LinkBases
from chaosapi.slo.burn_alerts import (
    BUDGET_LEFT,
    Rule,
    alerts,
    enabled_pairs,
    failures_metric,
    ratio_metric,
    selector,
    target_absent,
)
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, format_window

Groups = dict[str, Any]
"""A rule file as data, `{"groups": [...]}`, the shape that Prometheus and promtool read."""

PERIOD_STEPS = 4
"""The interval of the period group, in steps of the profile: the group reads a whole period of raw counters, but must
be evaluated more often than every 5 minutes, for which a sample is visible."""


def groups(spec: Spec, profile: Profile, min_failures: int = 1, links: LinkBases = SHIPPED) -> Groups:
    """Return the rule file as data.

    One group for each SLO holds its ratios, then the rules that read the ratios, then the alerts: Prometheus evaluates
    a group in order, so an alert sees the ratios of its own evaluation. A second, slower group holds the rules over the
    whole period. The last group has the alerts on scrape jobs without targets.

    With `min_failures` above 1 no alert fires before its long window holds that many bad events. Raises
    errors.Invalid for a pair that can never fire, and for bad events that cannot be counted.
    """
    for slo in spec.slos:
        for message in feasibility.never_fires(slo, profile):
            raise errors.Invalid.field(f"slos.{slo.name}.objective", message)
    made = [group for slo in spec.slos for group in _slo(spec, slo, profile, min_failures, links)]
    return {"groups": made + _targets(spec, profile, links)}


def _slo(spec: Spec, slo: Objective, profile: Profile, min_failures: int, links: LinkBases) -> list[dict[str, Any]]:
    identity = spec.identity_labels(slo)
    carried = spec.recorded_labels(slo)

    def ratio(window: float) -> Rule:
        expr = slo.sli.error_ratio(format_window(window))
        return _record(ratio_metric(window), expr, carried | {"sloth_window": format_window(window)})

    def failures(window: float) -> Rule:
        try:
            expr = slo.sli.failures(window, format_window(window))
        except ValueError as error:
            raise errors.Invalid.field(f"slos.{slo.name}.sli", f"min_failures {min_failures}: {error}") from error
        return _record(failures_metric(window), expr, carried | {"sloth_window": format_window(window)})

    def burn(window: float) -> str:
        return f"{ratio_metric(window)}{selector(identity)} / {slo.budget:.12g}"

    info = {
        "sloth_version": "chaosapi",
        "sloth_mode": "chaosapi",
        "sloth_spec": spec.version,
        "sloth_objective": f"{slo.objective.normalize():f}",
    }
    return [
        {
            "name": f"slo-{identity['sloth_id']}",
            "rules": [
                *(ratio(window) for window in profile.windows),
                *(
                    failures(window)
                    for window in sorted({p.long for p in enabled_pairs(slo, profile)})
                    if min_failures > 1
                ),
                _record("slo:objective:ratio", f"vector({slo.ratio:.12g})", carried),
                _record("slo:error_budget:ratio", f"vector({slo.budget:.12g})", carried),
                _record("slo:time_period:days", f"vector({profile.period / 86400:.12g})", carried),
                _record("slo:current_burn_rate:ratio", burn(profile.windows[0]), carried),
                _record("sloth_slo_info", "vector(1)", carried | info),
                *alerts(spec, slo, profile, min_failures, links),
            ],
        },
        {
            "name": f"slo-{identity['sloth_id']}-period",
            "interval": format_window(PERIOD_STEPS * profile.step),
            "rules": [
                # From the raw counters, where Sloth averages short ratios: correct from the first minute on, and a
                # quiet night does not weigh as much as a busy day.
                ratio(profile.period),
                _record("slo:period_burn_rate:ratio", burn(profile.period), carried),
                _record(
                    BUDGET_LEFT,
                    f"1 - slo:period_burn_rate:ratio{selector(identity)}",
                    carried,
                ),
            ],
        },
    ]


def _record(name: str, expr: str, labels: dict[str, str]) -> Rule:
    return {"record": name, "expr": expr, "labels": labels}


def _targets(spec: Spec, profile: Profile, links: LinkBases) -> list[dict[str, Any]]:
    absent = [target_absent(spec, job, profile, links) for job in spec.jobs]
    return [{"name": f"targets-{spec.service}", "rules": absent}] if absent else []
