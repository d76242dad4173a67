from random import Random

import pytest

from fuzz import mutations

ALERTS = {"alerts": [{"labels": {"alertname": f"A{number}"}, "annotations": {}} for number in range(4)]}


def test_no_mutation_multiplies_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of 60,000 characters, or a list of 10,000 items, was repeated 10,000 times."""
    large = [each for each in mutations._STRUCTURE if each.__name__ in {"_widen", "_lengthen"}]  # noqa: SLF001 - its odds
    monkeypatch.setattr(mutations, "_STRUCTURE", large)
    longest = max(len(mutations.mutate(Random(seed), ALERTS)) for seed in range(300))
    assert 1_000_000 < longest < 5_000_000
