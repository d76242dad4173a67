from pathlib import Path

import pytest

from chaosapi import assets, errors
from chaosapi.slo import spec
from chaosapi.slo.spec import Spec

GOOD = """\
version: prometheus/v1
service: shop
labels: {tier: 2, generated: true, cost: 0.20}
slos:
  - name: availability
    objective: 99.9
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="api", status=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="api"}[{{ .window }}]))
    alerting:
      name: Burn
      page_alert: {labels: {severity: team}}
      ticket_alert: {disable: true}
"""


def _parse(text: str) -> Spec:
    return spec.parse(text, "slo.yaml")[0]


def test_the_shop_has_three_slos() -> None:
    """The checked-in spec loads with three objectives and exact budgets."""
    shop = spec.load(assets.path("alerts") / "slo.yaml")
    assert {slo.name: (slo.ratio, slo.budget) for slo in shop.slos} == {
        "availability": (0.999, 0.001),
        "latency": (0.99, 0.01),
        "checkout-availability": (0.995, 0.005),
    }
    assert shop.jobs == ["chaosapi"]


def test_labels_are_text() -> None:
    """A label that looks like a number or a boolean is kept as in the file."""
    assert _parse(GOOD).labels == {"tier": "2", "generated": "true", "cost": "0.20"}


def test_the_window_is_filled_into_both_queries_and_no_traffic_gives_no_ratio() -> None:
    """Both template spellings work. With traffic there is a ratio, also before the first error."""
    ratio = _parse(GOOD).slos[0].sli.error_ratio("5m")
    assert " ".join(ratio.split()) == (
        '(( sum(rate(http_requests_total{job="api", status=~"5.."}[5m])) ) '
        'or 0 * ( sum(rate(http_requests_total{job="api"}[5m])) )) '
        '/ (( sum(rate(http_requests_total{job="api"}[5m])) ) > 0)'
    )


def test_bad_events_are_counted_by_their_query() -> None:
    """A rate is multiplied by the window, an increase is a count."""
    rated = _parse(GOOD).slos[0].sli
    assert rated.failures(3600, "1h").endswith('status=~"5.."}[1h]))\n) * 3600')
    counted = _parse(GOOD.replace("rate(", "increase(")).slos[0].sli
    assert counted.failures(3600, "1h").endswith('status=~"5.."}[1h]))\n)')


def test_a_raw_ratio_is_used_without_nan() -> None:
    """The query is unchanged, except that NaN is filtered out."""
    text = GOOD[: GOOD.index("      events:")] + (
        "      raw: {error_ratio_query: 'avg_over_time(bad[{{.window}}])'}\n    alerting: {}\n"
    )
    assert " ".join(_parse(text).slos[0].sli.error_ratio("1h").split()) == "( avg_over_time(bad[1h]) ) > -Inf"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("version: prometheus/v1", "version: prometheus/v9", "slo.yaml:1: version: input should be 'prometheus/v1'"),
        ("version: prometheus/v1", "kind: SLO", "slo.yaml:1: kind: the kind SLO is not supported: known are"),
        ("service: shop", "service: ''", "slo.yaml:2: service: "),
        ("service: shop", "servise: shop", "slo.yaml:2: servise: unknown field"),
        ("service: shop", "slo_plugins: {}", "slo.yaml:2: slo_plugins: a plugin is code that runs"),
        ("objective: 99.9", "objective: 101", "slo.yaml:6: slos.0.objective: input should be less than 100"),
        ("objective: 99.9", "objective: 100", "slo.yaml:6: slos.0.objective: input should be less than 100"),
        ("objective: 99.9", "objective: nan", "slo.yaml:6: slos.0.objective: "),
        ("objective: 99.9", "objective: high", "slo.yaml:6: slos.0.objective: "),
        ("      events:", "      raw: {a: 1}\n      events:", "slos.0.sli: needs exactly one of `events` and `raw`"),
        ("      events:", "      plugin:", "slo.yaml:8: slos.0.sli.plugin: a plugin is code that runs"),
        ("[{{.window}}]", "[5m]", "slo.yaml:9: slos.0.sli.events.error_query: a query needs [{{.window}}]"),
        ("http_requests_total{job", "{{.metric}}{job", "slos.0.sli.events.error_query: {{.window}} is the only"),
        ("page_alert", "pageAlert", "slo.yaml:13: slos.0.alerting.pageAlert: unknown field"),
        ("labels: {tier: 2", "labels: {the tier: 2", "slo.yaml:3: labels.the tier"),
        (GOOD, "", "slo.yaml:1: document: "),
        (GOOD, "- 1", "slo.yaml:1: document: "),
        (GOOD, "a: [", "slo.yaml:1: document: not YAML: "),
        ("service: shop", "service: a\nservice: b", "slo.yaml:3: document: not YAML: the key service is there twice"),
        ("[{{.window}}]))", "[{{.window}}])", "slo.yaml:9: slos.0.sli.events.error_query: not PromQL: "),
    ],
)
def test_an_error_is_reported_with_its_line_and_field(old: str, new: str, complaint: str) -> None:
    """Every error is refused, and the message has its place."""
    assert old in GOOD
    with pytest.raises(errors.Invalid) as refusal:
        _parse(GOOD.replace(old, new, 1))
    assert complaint in str(refusal.value)


def test_all_errors_are_reported_at_once() -> None:
    """Two errors give two lines and two entries in `errors`."""
    with pytest.raises(errors.Invalid) as refusal:
        _parse(GOOD.replace("99.9", "0").replace("name: Burn", "name: ''"))
    assert [error["field"] for error in refusal.value.errors] == ["slos.0.objective", "slos.0.alerting.name"]
    assert len(str(refusal.value).splitlines()) == 2


def test_two_slos_cannot_share_a_name() -> None:
    """Their series would be the same."""
    with pytest.raises(errors.Invalid, match="availability is there twice"):
        _parse(GOOD + GOOD[GOOD.index("  - name") :])


def test_a_file_may_contain_several_specs(tmp_path: Path) -> None:
    """`load_all` reads all but empty documents; `load` accepts one, and names the line of the second."""
    path = tmp_path / "slo.yaml"
    path.write_text("---\n" + GOOD + "---\n# nothing\n---\n" + GOOD.replace("shop", "cart"))
    assert [each.service for each in spec.load_all(path)] == ["shop", "cart"]
    with pytest.raises(errors.Invalid, match=r"slo\.yaml:19: document: one YAML document is expected"):
        spec.load(path)


def test_an_error_in_a_merged_key_has_the_line_of_the_key(tmp_path: Path) -> None:
    """With `<<`, the line is that of the anchor or of the mapping's own key."""
    text = GOOD.replace("      name: Burn\n", "      name: Burn\n      annotations: &a {b c: d}\n").replace(
        "{severity: team}", "{<<: *a, d e: f}"
    )
    with pytest.raises(errors.Invalid) as refusal:
        _parse(text)
    assert [line.split(": ")[0] for line in str(refusal.value).splitlines()] == ["slo.yaml:13"] * 2 + ["slo.yaml:14"]


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A missing file and a binary file are errors like any other."""
    with pytest.raises(errors.Invalid, match=r"nowhere\.yaml: cannot be read"):
        spec.load(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.Invalid, match=r"binary\.yaml: cannot be read"):
        spec.load(tmp_path / "binary.yaml")
