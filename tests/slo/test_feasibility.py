import pytest

from chaosapi.slo import feasibility, spec, windows
from chaosapi.slo.feasibility import Conditions
from chaosapi.slo.spec import Spec

SPEC = """\
version: prometheus/v1
service: shop
slos:
  - name: availability
    objective: 99.9
    sli:
      events:
        error_query: sum(rate(requests{job="a", code="500"}[{{.window}}]))
        total_query: sum(rate(requests{job="a"}[{{.window}}]))
    alerting: {}
"""
HOUR = 3600
PRODUCTION = windows.load("production")


def _spec(text: str = SPEC) -> Spec:
    return spec.parse(text, "slo.yaml")[0]


def _messages(text: str = SPEC, where: Conditions | None = None) -> list[tuple[feasibility.Level, str]]:
    return [
        (level, message) for _, level, message in feasibility.check_spec(_spec(text), PRODUCTION, where or Conditions())
    ]


def test_a_good_spec_has_no_findings() -> None:
    """Scrapes, retention and requests are sufficient."""
    where = Conditions(scrape_interval=15, retention=31 * 86400, requests_per_second=1)
    assert not list(feasibility.check_profile(PRODUCTION, where))
    assert not _messages(where=where)


def test_windows_need_scrapes_and_the_budget_needs_its_period() -> None:
    """Both findings are reported at once, with sufficient values."""
    found = list(feasibility.check_profile(PRODUCTION, Conditions(scrape_interval=120, retention=15 * 86400)))
    assert [each.split(":")[0] for each in found] == ["scrape_interval", "retention"]
    assert "every 1m15s or faster" in found[0]
    assert "Keep 30d" in found[1]
    assert not list(feasibility.check_profile(windows.load("lab"), Conditions(scrape_interval=1, retention=12 * HOUR)))


@pytest.mark.parametrize(
    ("an_hour", "pairs"),
    [(70, []), (69, ["1h"]), (27, ["1h", "6h"]), (13, ["1h", "6h", "1d", "3d"])],
)
def test_with_few_requests_one_failure_is_enough(an_hour: float, pairs: list[str]) -> None:
    """99.9 % at 14.4 needs 69.4 requests per hour, the other pairs fewer: 1/(F·B) in the long window."""
    found = _messages(where=Conditions(requests_per_second=an_hour / HOUR))
    assert [message.split(" in ")[1].split(" ")[0] for _, message in found] == pairs
    assert {level for level, _ in found} <= {"warning"}
    assert all(("pages" in message) == (f" in {pair} " in message and pair in {"1h", "6h"})
               for pair, (_, message) in zip(pairs, found, strict=True))  # fmt: skip


def test_min_failures_removes_the_warning() -> None:
    """Queries without counters are an error then."""
    where = Conditions(requests_per_second=0.001, min_failures=5)
    assert not _messages(where=where)
    raw = SPEC[: SPEC.index("      events")] + "      raw: {error_ratio_query: 'bad{job=\"a\"}[{{.window}}]'}\n"
    raw = raw.replace("bad{", "avg_over_time(bad{").replace("]'", "])'") + "    alerting: {}\n"
    assert _messages(raw, where) == [("error", "a raw ratio does not contain the number of bad events")]
    gauges = SPEC.replace("sum(rate(", "sum(sum_over_time(")
    assert _messages(gauges, where) == [("error", "to count bad events, use either rate() or increase()")]


def test_a_pair_that_can_never_fire_is_an_error_unless_it_is_disabled() -> None:
    """At 90 % only a burn rate up to 10 can be reached."""
    low = SPEC.replace("99.9", "90")
    [(level, message)] = _messages(low)
    assert level == "error"
    assert message.startswith("the pair 1h/5m fires above a burn rate of 14.4, but with 90%")
    assert not _messages(low.replace("alerting: {}", "alerting: {page_alert: {disable: true}}"))


def test_a_whole_bucket_bound_and_a_missing_job_are_warned_of() -> None:
    """`le="1"` silently matches nothing in Prometheus 3; without a job, no alert notices a missing target."""
    whole = SPEC.replace('code="500"', 'le="1"')
    assert [level for level, _ in _messages(whole)] == ["warning"]
    assert 'le="1" matches nothing in Prometheus 3' in _messages(whole)[0][1]
    assert not _messages(SPEC.replace('code="500"', 'le="0.5"'))
    assert "no query names a job" in _messages(SPEC.replace('job="a"', 'job=~"a|b"'))[0][1]


@pytest.mark.parametrize(
    ("alerting", "field", "level", "message"),
    [
        (
            "{page_alert: {labels: {sloth_severity: critical}}}",
            "page_alert.labels.sloth_severity",
            "warning",
            "not used",
        ),
        ("{labels: {alertname: X}}", "labels.alertname", "warning", "set alerting.name"),
        ("{labels: {__name__: x}}", "labels.__name__", "error", "begin with __"),
        ("{ticket_alert: {labels: {team: ''}}}", "ticket_alert.labels.team", "warning", "without a value"),
        ("{ticket_alert: {labels: {severity: page}}}", "ticket_alert.labels.severity", "warning", "take it for a page"),
        ("{labels: {severity: ticket}}", "labels.severity", "warning", "take it for a ticket"),
        ("{page_alert: {disable: true}, ticket_alert: {disable: true}}", "", "warning", "nobody is notified"),
    ],
)
def test_labels_that_do_not_do_what_they_say_are_found(alerting: str, field: str, level: str, message: str) -> None:
    """Each at its place in the file."""
    found = list(
        feasibility.check_spec(_spec(SPEC.replace("alerting: {}", f"alerting: {alerting}")), PRODUCTION, Conditions())
    )
    [(loc, found_level, said)] = found
    assert ".".join(map(str, loc)).removeprefix("slos.0.alerting").removeprefix(".") == field
    assert found_level == level
    assert message in said


def test_a_severity_of_the_files_own_is_no_finding() -> None:
    """Nothing relies on it."""
    alerting = "{page_alert: {labels: {severity: critical}}, ticket_alert: {labels: {severity: warning}}}"
    assert not _messages(SPEC.replace("alerting: {}", f"alerting: {alerting}"))
