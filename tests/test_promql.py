"""The results of the queries, as promtool evaluates them."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from chaosapi.promql import ANSWERED, FAILED, Job, Requests, Slo, firing, on_newest

Judge = Callable[[Mapping[str, str], str, Mapping[str, float]], None]

JOB = Job("shop", "5m")
REQUESTS = Requests(JOB)
TRAFFIC = {
    'http_requests_total{job="shop", handler="/a", status="200"}': "0+540x10",
    'http_requests_total{job="shop", handler="/a", status="503"}': "0+60x10",
    'http_requests_total{job="shop", handler="/idle", status="200"}': "7x10",
    'http_requests_total{job="other", handler="/a", status="200"}': "0+600x10",
}
SLOW = {
    'http_request_duration_seconds_count{job="shop", handler="/a"}': "0+60x10",
    'http_request_duration_seconds_sum{job="shop", handler="/a"}': "0+30x10",
    'http_request_duration_seconds_bucket{job="shop", handler="/a", le="0.5"}': "0+30x10",
    'http_request_duration_seconds_bucket{job="shop", handler="/a", le="+Inf"}': "0+60x10",
    'http_request_duration_seconds_count{job="shop", handler="/idle"}': "7x10",
    'http_request_duration_seconds_sum{job="shop", handler="/idle"}': "7x10",
    'http_request_duration_seconds_bucket{job="shop", handler="/idle", le="0.5"}': "7x10",
    'http_request_duration_seconds_bucket{job="shop", handler="/idle", le="+Inf"}': "7x10",
}
# Numbers that a computer holds exactly: promtool compares to the last bit. The budget is 1/1024.
AVAILABILITY = '{sloth_id="shop-availability"}'
CALM = '{sloth_id="calm"}'
BUDGETS = {
    f"slo:error_budget:ratio{AVAILABILITY}": "0.0009765625x10",
    'slo:sli_error:ratio_rate5m{sloth_id="shop-availability", sloth_window="5m"}': "0.03125x10",
    'slo:sli_error:ratio_rate1h{sloth_id="shop-availability", sloth_window="1h"}': "0.00390625x10",
    'slo:sli_error:ratio_rate6h{sloth_id="shop-availability", sloth_window="6h"}': "0.000244140625x10",
    f"slo:time_period:days{AVAILABILITY}": "30x10",
    f"slo:period_error_budget_remaining:ratio{AVAILABILITY}": "0.5x10",
    f"slo:period_burn_rate:ratio{AVAILABILITY}": "0.5x10",
    f"slo:current_burn_rate:ratio{AVAILABILITY}": "2x10",
    f"slo:time_period:days{CALM}": "30x10",
    f"slo:period_error_budget_remaining:ratio{CALM}": "1x10",
    f"slo:current_burn_rate:ratio{CALM}": "0x10",
}


@pytest.fixture
def judge(tools: dict[str, Path], tmp_path: Path) -> Judge:
    """Return a function that checks with promtool that a query has these results ten minutes into the series."""

    def agrees(series: Mapping[str, str], expr: str, results: Mapping[str, float]) -> None:
        samples = [{"labels": labels, "value": value} for labels, value in results.items()]
        test = {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": expr, "eval_time": "10m", "exp_samples": samples}],
        }
        path = tmp_path / "test.yml"
        path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
        done = subprocess.run([tools["promtool"], "test", "rules", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return agrees


def test_rates_are_of_one_job_and_the_requested_routes(judge: Judge) -> None:
    """Requests per second, by the requested labels."""
    judge(TRAFFIC, REQUESTS.rate(), {"{}": 10})
    judge(TRAFFIC, REQUESTS.rate("status"), {'{status="200"}': 9, '{status="503"}': 1})
    judge(TRAFFIC, Requests(JOB, handler="/idle").rate("handler"), {'{handler="/idle"}': 0})


def test_shares_are_ratios_and_absent_without_traffic(judge: Judge) -> None:
    """A route without requests is neither at 0 nor at 100 %."""
    judge(TRAFFIC, REQUESTS.share(ANSWERED, "handler"), {'{handler="/a"}': 0.9})
    judge(TRAFFIC, REQUESTS.share(FAILED), {"{}": 0.1})


def test_latencies_are_seconds_and_absent_without_traffic(judge: Judge) -> None:
    """Not NaN, which would hide the other lines."""
    judge(SLOW, REQUESTS.mean("handler"), {'{handler="/a"}': 0.5})
    judge(SLOW, REQUESTS.quantile(0.25, "handler"), {'{handler="/a"}': 0.25})


def test_burn_rates_come_with_their_windows(judge: Judge) -> None:
    """The windows come from the rules' labels."""
    burn = {"5m": 32, "1h": 4, "6h": 0.25}
    wanted = {f'{{sloth_id="shop-availability", sloth_window="{window}"}}': rate for window, rate in burn.items()}
    judge(BUDGETS, Slo("shop-availability").burn(), wanted)


def test_the_progress_of_an_alert_is_that_of_its_slower_window(judge: Judge) -> None:
    """Halfway to 8, with 32 in the short window and 4 in the long one; windows of other profiles are missing."""
    judge(BUDGETS, Slo("shop-availability").nearness(["1h", "5m", "1m", "5s"], 8), {AVAILABILITY: 0.5})


def test_the_time_until_a_budget_is_spent(judge: Judge) -> None:
    """Half the budget of 30 days lasts 7.5 days at burn rate 2, a spent one 0 s; without burn there is no end."""
    judge(BUDGETS, Slo(".+").exhaustion(), {AVAILABILITY: 7.5 * 86400})
    spent = BUDGETS | {f"slo:period_error_budget_remaining:ratio{AVAILABILITY}": "-3x10"}
    judge(spent, Slo(".+").exhaustion(), {AVAILABILITY: 0})


def test_the_share_achieved_is_that_of_the_period(judge: Judge) -> None:
    """With half of the budget spent."""
    judge(BUDGETS, Slo("shop-availability").achieved(), {AVAILABILITY: 1 - 0.5 / 1024})


def test_firing_alerts_are_counted_without_pending_ones(judge: Judge) -> None:
    """By the requested labels."""
    alerts = {
        'ALERTS{alertname="A", alertstate="firing", severity="page"}': "1x10",
        'ALERTS{alertname="B", alertstate="pending", severity="page"}': "1x10",
        'ALERTS{alertname="C", alertstate="firing", severity="ticket"}': "1x10",
    }
    judge(alerts, firing("alertname", where='severity="page"'), {'{alertname="A"}': 1})


def test_replicas_on_the_newest_revision_are_counted(judge: Judge) -> None:
    """Two of three replicas have it."""
    revisions = {f'chaosapi_revision{{job="shop", instance="{n}"}}': f"{r}x10" for n, r in enumerate((4, 3, 4))}
    judge(revisions, on_newest(JOB), {"{}": 2})
    judge(revisions, JOB.now("count", "chaosapi_revision"), {"{}": 3})
