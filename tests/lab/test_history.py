import time
from itertools import pairwise
from pathlib import Path

import pytest

from chaosapi.lab import history, stack
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
    """Samples cover one period up to the end, in order, and close enough for the shortest window to be filled."""
    profile = windows.load(name)
    times = history.sample_times(profile, 1_700_000_000.0)
    assert (times[0], times[-1]) == (1_700_000_000.0 - profile.period, 1_700_000_000.0)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0
    last_hours = gaps[-int(6 * profile.pairs[0].long / max(gaps[-10:])) :]
    assert max(last_hours) <= max(1.0, profile.windows[0] / 4)


def test_a_healthy_past_has_the_targets_series_and_no_errors() -> None:
    """Series carry the live labels plus the target's; successes rise with the traffic, errors stay at 0."""
    families = history.healthy_series(EXPOSITION, 1000, {"instance": "127.0.0.1:8000", "job": "chaosapi"})
    text = "".join(history.openmetrics(families, [1000.0, 1010.0]))
    where = 'handler="/api/checkout"'
    target = 'instance="127.0.0.1:8000",job="chaosapi"'
    assert f"up{{{target}}} 1 1010.000\n" in text
    assert f'http_requests_total{{method="POST",{where},status="201",{target}}} 600 1010.000\n' in text
    assert f'http_requests_total{{method="POST",{where},status="503",{target}}} 0 1010.000\n' in text
    assert f'_bucket{{method="POST",{where},status="201",le="0.005",{target}}} 540 1010.000\n' in text
    assert f'_bucket{{method="POST",{where},status="201",le="0.25",{target}}} 600 1010.000\n' in text
    assert f'_sum{{method="POST",{where},status="201",{target}}} 2.400 1010.000\n' in text
    assert "python_info" not in text
    assert text.endswith("# EOF\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", windows.NAMES)
def test_a_real_prometheus_sees_the_healthy_past(name: str, lab_ports: dict[str, int], tmp_path: Path) -> None:
    """Every window of the profile holds the seeded traffic, no errors and fast answers, and nothing fires."""
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
