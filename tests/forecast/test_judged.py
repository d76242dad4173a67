"""Forecasts compared with promtool; the whole grid is in benchmarks/forecast_grid.py."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.forecast import judge

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(("prometheus", "seed", "count"), [(3, 31, 20), (2, 32, 10)])
def test_alerts_fire_and_resolve_when_forecast(
    prometheus: int, seed: int, count: int, tmp_path: Path, tools: dict[str, Path]
) -> None:
    """Within one evaluation of promtool in every case, and at the same evaluation in nearly all."""
    promtool = tools["promtool"] if prometheus == judge.version(tools["promtool"]) else judge.other(ROOT)
    if promtool is None or judge.version(promtool) != prometheus:
        pytest.skip(f"there is no promtool {prometheus} here")
    chosen = list(judge.cases(seed, count))
    facts = list(judge.judged(promtool, tmp_path, chosen))
    said = [judge.forecast(case, prometheus) for case in chosen]
    assert sum(map(bool, facts)) > count / 2
    assert not [case for case, one, fact in zip(chosen, said, facts, strict=True) if not judge.agree(case, one, fact)]
    assert sum(one == fact for one, fact in zip(said, facts, strict=True)) >= 0.9 * count


@pytest.mark.slow
def test_the_comparison_detects_a_wrong_forecast(tmp_path: Path, tools: dict[str, Path]) -> None:
    """With a fifth fewer errors than in promtool's counters, the forecast differs."""
    chosen = list(judge.cases(33, 6))
    facts = list(judge.judged(tools["promtool"], tmp_path, chosen))
    prometheus = judge.version(tools["promtool"])
    said = [judge.forecast(replace(case, error_ratio=0.8 * case.error_ratio), prometheus) for case in chosen]
    assert not all(judge.agree(case, one, fact) for case, one, fact in zip(chosen, said, facts, strict=True))
