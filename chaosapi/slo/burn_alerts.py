"""The alerts on SLOs: one for each window pair, and one for a scrape job without targets."""

import json
from typing import Any

from chaosapi.alert_labels import FIXED, SEVERITY
from chaosapi.slo import annotations
from chaosapi.slo.annotations import SHIPPED, LinkBases
from chaosapi.slo.severity import Severity
from chaosapi.slo.spec import AlertSettings, Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair, format_window

Rule = dict[str, Any]
BUDGET_LEFT = "slo:period_error_budget_remaining:ratio"


def ratio_metric(window: float) -> str:
    """Return Sloth's name for the error ratio over `window` seconds."""
    return f"slo:sli_error:ratio_rate{format_window(window)}"


def failures_metric(window: float) -> str:
    """Return the name for the number of bad events over `window` seconds; Sloth has none."""
    return f"slo:sli_error:increase{format_window(window)}"


def selector(labels: dict[str, str]) -> str:
    """Return exact matchers: `{a="1", b="2"}`."""
    return "{" + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()) + "}"


def alerts(
    spec: Spec, slo: Objective, profile: Profile, min_failures: int = 1, links: LinkBases = SHIPPED
) -> list[Rule]:
    """Return the SLO's alerts, quickest pair first; alerts of a disabled severity are left out.

    With `min_failures` above 1 an alert also requires that many bad events in its long window.
    """
    return [_alert(spec, slo, profile, pair, min_failures, links) for pair in enabled_pairs(slo, profile)]


def enabled_pairs(slo: Objective, profile: Profile) -> list[WindowPair]:
    """Return the pairs whose severity the spec does not disable, quickest first."""
    return [pair for pair in profile.pairs if not is_disabled(slo, pair)]


def is_disabled(slo: Objective, pair: WindowPair) -> bool:
    """Return whether the spec disables alerts of the pair's severity."""
    return _settings(slo, pair.severity).disable


def target_absent(spec: Spec, job: str, profile: Profile, links: LinkBases = SHIPPED) -> Rule:
    """Return the alert for a job without a target that is up: the SLOs of such a job have no data.

    Its `for` is the shortest window, so that one late scrape does not page.
    """
    return {
        "alert": "TargetAbsent",
        "expr": f"absent(up{selector({'job': job})} == 1)",
        "for": format_window(profile.windows[0]),
        "labels": spec.labels
        | {"service": spec.service, "sloth_service": spec.service, "severity": "page", SEVERITY: "page", "job": job},
        "annotations": annotations.absence_annotations(spec, job, links),
    }


def labels(spec: Spec, slo: Objective, pair: WindowPair) -> dict[str, str]:
    """Return the labels that the pair's alert adds to the labels of its series; the file overrides all but `FIXED`."""
    own = {"slo": slo.name, "service": spec.service, "severity": pair.severity}
    given = slo.alerting.labels | _settings(slo, pair.severity).labels
    return {
        **own,
        **{name: value for name, value in given.items() if name not in FIXED},
        SEVERITY: pair.severity,
        "long_window": format_window(pair.long),
        "short_window": format_window(pair.short),
        "burn_rate": f"{pair.factor:g}",
    }


def _settings(slo: Objective, severity: Severity) -> AlertSettings:
    return slo.alerting.page_alert if severity == "page" else slo.alerting.ticket_alert


def _alert(spec: Spec, slo: Objective, profile: Profile, pair: WindowPair, min_failures: int, links: LinkBases) -> Rule:
    def series(metric: str) -> str:
        # `without` makes both sides match, and keeps the labels of the spec and of the queries on the alert
        return f"max without (sloth_window) ({metric}{selector(spec.identity_labels(slo))})"

    conditions = [  # the first condition comes with the burn rate, which becomes the alert's value
        f"{series(ratio_metric(window))} / {slo.budget:.12g} > {pair.factor:g}" for window in (pair.short, pair.long)
    ]
    if min_failures > 1:  # half a failure less, since increase() does not return whole numbers
        conditions.append(f"{series(failures_metric(pair.long))} > {min_failures - 0.5:g}")
    return {
        "alert": slo.alerting.name,
        "expr": "\nand\n".join(conditions),
        "labels": labels(spec, slo, pair),
        "annotations": {
            **annotations.pair_annotations(
                spec, slo, profile, pair, BUDGET_LEFT + selector(spec.identity_labels(slo)), links
            ),
            **slo.alerting.annotations,
            **_settings(slo, pair.severity).annotations,
        },
    }
