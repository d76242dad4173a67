"""The declarations of effects are consistent."""

import pytest

from chaosapi.effects import EFFECTS, Effect
from chaosapi.settings import Settings


@pytest.mark.parametrize("kind", EFFECTS)
def test_the_forecast_of_an_effect_is_complete(kind: type[Effect]) -> None:
    """Either the reason why none is possible, or the outcome of each request that it ends, exactly once."""
    effect = kind.model_validate(kind.example)
    shares = [ending.share for ending in effect.endings()]
    if kind.unpredictable is None:
        assert bool(shares) == kind.ends_request
    if shares:
        assert sum(shares) == pytest.approx(1)
        assert kind.ends_request


@pytest.mark.parametrize("kind", EFFECTS)
def test_demands_name_fields_and_permissions_name_settings(kind: type[Effect]) -> None:
    """No type checker checks these names."""
    assert set(kind.demands.values()) <= kind.model_fields.keys()
    assert kind.permission is None or kind.permission in Settings.model_fields


@pytest.mark.parametrize("kind", EFFECTS)
def test_only_what_answers_acts_inside_the_app(kind: type[Effect]) -> None:
    """The middleware nests these innermost: what shapes a response stands around them."""
    assert kind.inside is None or kind.ends_request
