"""What effects say of themselves holds together."""

import pytest

from chaosapi.effects import EFFECTS, Effect
from chaosapi.settings import Settings


@pytest.mark.parametrize("kind", EFFECTS)
def test_what_an_effect_says_to_the_forecast_is_whole(kind: type[Effect]) -> None:
    """Either why nothing can be said, or how those end whose answer it decides, each request once."""
    effect = kind.model_validate(kind.example)
    shares = [ending.share for ending in effect.endings()]
    if kind.unpredictable is None:
        assert bool(shares) == kind.ends_request
    if shares:
        assert sum(shares) == pytest.approx(1)
        assert kind.ends_request


@pytest.mark.parametrize("kind", EFFECTS)
def test_what_an_effect_demands_is_in_its_fields_and_what_permits_it_is_a_setting(kind: type[Effect]) -> None:
    """Each is a name, which nothing else checks."""
    assert set(kind.demands.values()) <= kind.model_fields.keys()
    assert kind.permission is None or kind.permission in Settings.model_fields
