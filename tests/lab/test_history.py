import re
import time
from itertools import pairwise
from pathlib import Path

import pytest

from chaosapi.lab import history, stack
from chaosapi.lab.errors import LabError
from chaosapi.lab.ports import Ports
from chaosapi.slo import windows
from chaosapi.terminal import Terminal

EXPOSITION = """
# TYPE http_requests_total counter
http_requests_total{method="POST",handler="/api/checkout",status="201"} 7
http_requests_total{method="POST",handler="/api/checkout",status="503"} 5
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{method="POST",handler="/api/checkout",status="201",le="0.005"} 1
http_request_duration_seconds_bucket{method="POST",handler="/api/checkout",status="201",le="0.25"} 1
http_request_duration_seconds_bucket{method="POST",handler="/api/checkout",status="201",le="+Inf"} 1
http_request_duration_seconds_count{method="POST",handler="/api/checkout",status="201"} 1
http_request_duration_seconds_sum{method="POST",handler="/api/checkout",status="201"} 1
http_request_duration_seconds_count{method="POST",handler="/api/checkout",status="503"} 0
# TYPE python_info gauge
python_info 1
"""


@pytest.mark.parametrize("name", windows.NAMES)
def test_instants(name: str) -> None:
    """Samples cover one period up to the end, in order, dense enough for the shortest window."""
    profile = windows.load(name)
    times = history.sample_times(profile, 1_700_000_000.0)
    assert (times[0], times[-1]) == (1_700_000_000.0 - profile.period, 1_700_000_000.0)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0
    last_hours = gaps[-int(6 * profile.pairs[0].long / max(gaps[-10:])) :]
    assert max(last_hours) <= max(1.0, profile.windows[0] / 4)


CHECKOUT = ("POST", "/api/checkout", "201")
TARGET = {"instance": "127.0.0.1:8000", "job": "chaosapi"}


def test_a_seeded_history_has_the_targets_series_and_no_errors() -> None:
    """Series have the live labels plus the target's; successes grow with the traffic, errors do not."""
    families = history.healthy_series(EXPOSITION, {CHECKOUT: 60.0}, TARGET, 10)
    text = "".join(history.openmetrics(families, [1000.0, 1005.0, 1010.0]))
    where = 'handler="/api/checkout"'
    target = 'instance="127.0.0.1:8000",job="chaosapi"'
    assert f"up{{{target}}} 1 1010.000\n" in text
    total = f'http_requests_total{{method="POST",{where},status="201",{target}}}'
    assert [line for line in text.splitlines() if line.startswith(total)] == [
        f"{total} 0 1000.000",
        f"{total} 300 1005.000",
        f"{total} 7 1010.000",
    ]
    assert f'http_requests_total{{method="POST",{where},status="503",{target}}} 5 1000.000\n' in text
    assert f'http_requests_total{{method="POST",{where},status="503",{target}}} 5 1010.000\n' in text
    assert f'_bucket{{method="POST",{where},status="201",le="0.005",{target}}} 270 1005.000\n' in text
    assert f'_bucket{{method="POST",{where},status="201",le="0.25",{target}}} 300 1005.000\n' in text
    assert f'_sum{{method="POST",{where},status="201",{target}}} 1.200 1005.000\n' in text
    assert "python_info" not in text
    assert text.endswith("# EOF\n")


def test_a_seeded_history_ends_at_the_services_counters() -> None:
    """Without a jump, which would be a burst of requests or of errors in the first window."""
    exposition = EXPOSITION.replace('status="201"} 7', 'status="201"} 1000')
    families = history.healthy_series(exposition, {CHECKOUT: 60.0}, TARGET, 10)
    text = "".join(history.openmetrics(families, [1000.0, 1010.0]))
    assert re.findall(r'http_requests_total{.*status="201".*} (\d+) ', text) == ["400", "1000"]


def test_a_counter_without_requests_resets_at_the_end_of_the_history() -> None:
    """The history of a service without requests grows up to its end."""
    exposition = re.sub(r"} \d+", "} 0", EXPOSITION)
    families = history.healthy_series(exposition, {CHECKOUT: 60.0}, TARGET, 10)
    text = "".join(history.openmetrics(families, [1000.0, 1010.0]))
    assert re.findall(r'http_requests_total{.*status="201".*} (\d+) ', text) == ["0", "600"]


def test_what_was_counted_during_the_import_is_a_straight_line() -> None:
    """From one exposition to the next, so that nothing looks like a pause or a burst."""
    after = EXPOSITION.replace('status="201"} 7', 'status="201"} 27').replace('status="503"} 5', 'status="503"} 15')
    text = "".join(history.openmetrics(history.recent_series(EXPOSITION, after, TARGET, 10), [1005.0, 1010.0], 1000.0))
    assert re.findall(r'http_requests_total{.*status="201".*} (\d+) (\S+)', text) == [
        ("17", "1005.000"),
        ("27", "1010.000"),
    ]
    assert re.findall(r'http_requests_total{.*status="503".*} (\d+) ', text) == ["10", "15"]
    assert re.findall(r"^up{.*} (\d+) ", text, re.MULTILINE) == ["1", "1"]


def test_rates_are_measured_and_failures_count_as_requests() -> None:
    """By route and status; a failing route gets a healthy history of the same rate."""
    after = EXPOSITION.replace('status="201"} 7', 'status="201"} 27').replace('status="503"} 5', 'status="503"} 15')
    assert history.measured_rates(EXPOSITION, after, 10) == {CHECKOUT: 3.0}
    assert history.measured_rates(EXPOSITION, EXPOSITION, 10) == {}


def test_a_service_without_a_request_has_no_mix_but_the_shop() -> None:
    """The mix of an app of one's own is unknown before."""
    idle = re.sub(r"} \d+", "} 0", EXPOSITION)
    with pytest.raises(LabError, match="no request yet"):
        history.past_rates(idle, 20)
    assert history.past_rates(EXPOSITION, 20) == {CHECKOUT: 20.0}


def test_the_shops_rates_add_up() -> None:
    """Every request has the success status of its route."""
    rates = history.shop_rates(1000)
    assert sum(rates.values()) == pytest.approx(1000)
    assert rates[CHECKOUT] == pytest.approx(60)


@pytest.mark.slow
@pytest.mark.parametrize("name", windows.NAMES)
def test_a_real_prometheus_reads_the_seeded_history(name: str, lab_ports: dict[str, int], tmp_path: Path) -> None:
    """Every window of the profile contains the seeded traffic, no errors and fast responses, and nothing fires."""
    profile = windows.load(name)
    before = time.time()
    options = stack.Options(tmp_path, name, Ports(*lab_ports.values()), rate=40)
    with stack.running(options, Terminal(quiet=True).print) as lab:

        def ask(query: str) -> float | None:
            return lab.prometheus.value(query)

        for window in (*profile.windows, profile.period):
            for age in (0.0, 0.9 * (profile.period - window)):  # the newest such window, and an old one
                at = f"[{windows.format_window(window)}] @ {before - age:.3f}"
                if age and window < 6 * profile.windows[0]:
                    continue  # the old past is coarse
                rate = ask(f"sum(rate(http_requests_total{at}))")
                whole = 8 / window  # counters are whole numbers, and each of the six routes has one
                assert rate == pytest.approx(40, abs=max(1.2, whole)), (window, age)
                assert ask(f'sum(rate(http_requests_total{{status=~"5.."}}{at}))') == 0
                slow = ask(f"histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{at})))")
                assert slow is not None
                assert slow < 0.05
        short = windows.format_window(profile.windows[0])
        assert ask(f"count_over_time(up[{short}] @ {before:.3f})") == pytest.approx(
            20 if name == "production" else 5, abs=1
        )
        assert lab.prometheus.alerts() == []
