import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosapi import assets, errors
from chaosapi.slo import document, files, rules, spec, windows
from chaosapi.slo.spec import Spec

SHOP = spec.load(assets.path("alerts") / "slo.yaml")
OTHER = """\
version: prometheus/v1
service: myservice
labels: {owner: myteam}
slos:
  - name: requests
    objective: 99.9
    labels: {category: web}
    sli:
      events:
        error_query: sum(rate(requests{code=~"5.."}[{{.window}}]))  # a comment
        total_query: sum(rate(requests[{{.window}}]))
    alerting:
      name: HighErrorRate
      annotations: {summary: mine}
      page_alert: {labels: {severity: pageteam}}
      ticket_alert: {disable: true}
"""


def _groups(shop: Spec = SHOP, profile: str = "production") -> list[dict[str, Any]]:
    return rules.groups(shop, windows.load(profile))["groups"]  # type: ignore[no-any-return]


def _every(kind: str, of: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in of for rule in group["rules"] if kind in rule]


def test_sloths_recording_rules_exist_by_name_and_label() -> None:
    """Public Sloth dashboards find their series, for every SLO."""
    for slo in SHOP.slos:
        of_slo = [r for r in _every("record", _groups()) if r["labels"]["sloth_slo"] == slo.name]
        assert {r["record"] for r in of_slo} == {
            *(f"slo:sli_error:ratio_rate{w}" for w in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")),
            "slo:objective:ratio",
            "slo:error_budget:ratio",
            "slo:time_period:days",
            "slo:current_burn_rate:ratio",
            "slo:period_burn_rate:ratio",
            "slo:period_error_budget_remaining:ratio",
            "sloth_slo_info",
        }
        assert all(r["labels"]["sloth_id"] == f"shop-{slo.name}" for r in of_slo)
        assert all(r["labels"]["sloth_service"] == "shop" for r in of_slo)
        ratios = [r for r in of_slo if "sli_error" in r["record"]]
        assert all(r["record"].endswith("rate" + r["labels"]["sloth_window"]) for r in ratios)


def test_slow_windows_are_evaluated_at_least_every_five_minutes(tmp_path: Path) -> None:
    """Prometheus returns a sample for 5 minutes: a shortest window of half an hour makes no group slower than that."""
    slow = (windows.FOLDER / "production.yaml").read_text().replace("shortWindow: 5m", "shortWindow: 30m")
    path = tmp_path / "slow.yaml"
    path.write_text(slow.replace("longWindow: 1h", "longWindow: 3h"))
    text = files.prometheus_rule([SHOP], str(path))
    groups = yaml.safe_load(text)["spec"]["groups"]
    assert {group["interval"] for group in groups} == {"1m", "4m"}


def test_alerts_follow_their_ratios_in_one_group() -> None:
    """A group is evaluated in order, so an alert never reads the ratios of the previous evaluation."""
    for group in _groups():
        recorded: set[str] = set()
        for rule in group["rules"]:
            if "record" in rule:
                recorded.add(rule["record"])
            elif rule["alert"] == "ErrorBudgetBurn":
                needed = {rule["labels"]["short_window"], rule["labels"]["long_window"]}
                assert {f"slo:sli_error:ratio_rate{window}" for window in needed} <= recorded


def test_every_slo_has_one_alert_for_each_pair() -> None:
    """They share a name; their labels identify the pair."""
    burning = [r["labels"] for r in _every("alert", _groups()) if r["alert"] == "ErrorBudgetBurn"]
    assert [(a["slo"], a["severity"], a["long_window"], a["short_window"], a["burn_rate"]) for a in burning] == [
        (slo, *pair)
        for slo in ("availability", "latency", "checkout-availability")
        for pair in (
            ("page", "1h", "5m", "14.4"),
            ("page", "6h", "30m", "6"),
            ("ticket", "1d", "2h", "3"),
            ("ticket", "3d", "6h", "1"),
        )
    ]
    assert {a["service"] for a in burning} == {"shop"}


@pytest.mark.parametrize("profile", windows.NAMES)
def test_the_budget_of_the_period_is_computed_from_raw_counters(profile: str) -> None:
    """Not from recorded ratios; its slower group is evaluated more often than Prometheus drops a sample (5 minutes)."""
    slow = [group for group in _groups(profile=profile) if group["name"].endswith("-period")]
    assert len(slow) == len(SHOP.slos)
    for group in slow:
        assert "rate(http_request" in group["rules"][0]["expr"]
        assert group["interval"] == {"production": "4m", "lab": "4s"}[profile]


def test_a_users_spec_keeps_its_labels_texts_and_disabled_alerts() -> None:
    """Labels are on every rule, its severity and summary take precedence, and no alert on a job is generated."""
    made = _groups(document.parse(OTHER, Spec, "theirs"))
    assert all(r["labels"].items() >= {"owner": "myteam", "category": "web"}.items() for r in _every("record", made))
    alerts = _every("alert", made)
    assert [a["alert"] for a in alerts] == ["HighErrorRate"] * 2
    assert {a["labels"]["severity"] for a in alerts} == {"pageteam"}
    assert {a["annotations"]["summary"] for a in alerts} == {"mine"}


def test_alerts_can_require_several_failures() -> None:
    """The bad events of the long window are recorded and compared; Sloth's rules are unchanged."""
    plain, patient = (rules.groups(SHOP, windows.load("production"), n)["groups"] for n in (1, 5))
    recorded = [{r["record"]: r["expr"] for r in _every("record", of)} for of in (plain, patient)]
    assert set(recorded[1]) - set(recorded[0]) == {f"slo:sli_error:increase{w}" for w in ("1h", "6h", "1d", "3d")}
    assert all(recorded[1][name] == expr for name, expr in recorded[0].items())
    [quick, *_] = _every("alert", patient)
    assert quick["expr"].splitlines()[-1] == (
        'max without (sloth_window) (slo:sli_error:increase1h{sloth_id="shop-availability", sloth_service="shop", '
        'sloth_slo="availability"}) > 4.5'
    )


def test_failures_that_cannot_be_counted_are_refused() -> None:
    """With min failures, a spec without counters in its queries is an error."""
    gauges = document.parse(OTHER.replace("rate(", "avg_over_time("), Spec, "theirs")
    with pytest.raises(
        errors.Invalid, match=r"slos\.requests\.sli: min_failures 5: to count bad events, use either rate"
    ):
        rules.groups(gauges, windows.load("production"), 5)


def test_a_pair_that_could_never_fire_is_refused_with_the_objective_it_needs() -> None:
    """At 93 % a total outage has a burn rate of 14.29: page-quick would never fire."""
    with pytest.raises(errors.Invalid, match=r"slos\.requests\.objective: the pair 1h/5m fires above .* than 93\.06%"):
        _groups(document.parse(OTHER.replace("99.9", "93"), Spec, "theirs"))
    _groups(document.parse(OTHER.replace("99.9", "93.1"), Spec, "theirs"))


def test_bucket_bounds_match_in_every_prometheus() -> None:
    """Prometheus 3 writes `le="1"` as `"1.0"`: an exact matcher on an integer would match nothing there."""
    text = (assets.path("alerts") / "slo.yaml").read_text()
    bounds = re.findall(r'le="(.+?)"', text)
    assert "0.25" in bounds
    assert bounds == [str(float(bound)) for bound in bounds]


@pytest.mark.parametrize("where", ["spec", "slo", "alert"])
def test_no_file_overrides_the_labels_by_which_rules_find_each_other(where: str) -> None:
    """An alert that selects `sloth_id="x"` would never fire, where the ratios are recorded under another one."""
    labels = dict.fromkeys(("sloth_id", "sloth_slo", "sloth_severity", "long_window", "burn_rate"), "x")
    slo = SHOP.slos[0]
    alert = slo.alerting.page_alert.model_copy(update={"labels": labels if where == "alert" else {}})
    changed = slo.model_copy(
        update={
            "labels": labels if where == "slo" else {},
            "alerting": slo.alerting.model_copy(update={"page_alert": alert}),
        }
    )
    own = SHOP.model_copy(update={"slos": [changed], "labels": labels if where == "spec" else {}})
    plain = SHOP.model_copy(update={"slos": [slo.model_copy(update={"labels": {}})], "labels": {}})
    found, expected = (rules.groups(each, windows.load("lab"))["groups"] for each in (own, plain))
    for one, other in zip(_every("alert", found), _every("alert", expected), strict=True):
        fixed = {name: value for name, value in other["labels"].items() if name in labels}
        assert one["labels"].items() >= fixed.items()
    for one, other in zip(_every("record", found), _every("record", expected), strict=True):
        assert one["labels"]["sloth_id"] == other["labels"]["sloth_id"]
