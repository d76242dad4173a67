"""Conditions: what each part needs, why it does not hold, and which documents are refused."""

from typing import Any

import pytest

from chaosapi.api import validation
from chaosapi.errors import Invalid
from chaosapi.faults.fault import Fault
from chaosapi.world.condition import Condition
from chaosapi.world.world import ShopSettings, World

WORLD = World.model_validate(
    {
        "release": {"running": "2.4.0", "by_replica": {"shop-2": "2.4.1"}},
        "flags": {"new-pricing": True},
        "rotation": {"shop-3": "drained"},
        "limits": [{"header": "x-tenant", "value": "acme", "requests_per_second": 5}],
        "shed": {"browse": 0.3},
        "quarantine": ["p-0042"],
    }
)


def unmet(condition: dict[str, Any], replica: str = "shop-1") -> str | None:
    """Return why the condition does not hold in `WORLD`."""
    return Condition.model_validate(condition).unmet(WORLD, replica)


@pytest.mark.parametrize(
    ("holding", "failing", "reason"),
    [
        ({"release": "2.4.0"}, {"release": "2.4.1"}, "the release is 2.4.0, not 2.4.1"),
        ({"flags": {"new-pricing": True}}, {"flags": {"new-pricing": False}}, "the flag new-pricing is on"),
        ({"flags": {"bulk-export": False}}, {"flags": {"bulk-export": True}}, "the flag bulk-export is off"),
        (
            {"settings": {"shop_retries": {"above": 0, "at_most": 2}}},
            {"settings": {"shop_retries": {"at_least": 3}}},
            "shop_retries is 2, not at least 3",
        ),
        (
            {"settings": {"shop_timeout": {"below": "1500ms"}}},
            {"settings": {"shop_timeout": {"below": "1s"}}},
            "shop_timeout is 1s, not below 1s",
        ),
        ({"settings": {"shop_retries": 2}}, {"settings": {"shop_retries": {"equal": 0}}}, "shop_retries is 2, not 0"),
        ({"settings": {"shop_breaker": True}}, {"settings": {"shop_breaker": False}}, "shop_breaker is on, not off"),
        ({"settings": {"search": "live"}}, {"settings": {"search": "cached"}}, "search is live, not cached"),
        (
            {"providers": {"payments": "acme"}},
            {"providers": {"payments": "bolt"}},
            "payments is provided by acme, not bolt",
        ),
        ({"in_rotation": True}, {"in_rotation": False}, "the replica is in rotation"),
        (
            {"limits": {"x-tenant=acme": {"at_least": 5}}},
            {"limits": {"x-tenant=acme": {"above": 5}}},
            "x-tenant=acme may send 5 requests/s, not above 5",
        ),
        (
            {"limits": {"x-tenant=globex": {"above": 1e6}}},
            {"limits": {"x-tenant=globex": 0}},
            "x-tenant=globex may send any number of requests/s, not 0",
        ),
        ({"shed": {"browse": 0.3}}, {"shed": {"cart": {"above": 0}}}, "of cart 0 is shed, not above 0"),
        ({"quarantine": {"p-0042": True}}, {"quarantine": {"p-0042": False}}, "p-0042 is in quarantine"),
        ({"quarantine": {"p-0001": False}}, {"quarantine": {"p-0001": True}}, "p-0001 is not in quarantine"),
    ],
)
def test_a_condition_holds_or_says_why_not(holding: dict[str, Any], failing: dict[str, Any], reason: str) -> None:
    """Of several parts all must hold."""
    assert unmet(holding) is None
    assert unmet(failing) == reason
    assert unmet({"release": "2.4.0", **failing}) == (reason if "release" not in failing else unmet(failing))


def test_release_and_rotation_are_those_of_the_replica() -> None:
    """A rolling deployment has reached one replica; another is drained."""
    assert [unmet({"release": "2.4.1"}, f"shop-{number}") is None for number in (1, 2, 3)] == [False, True, False]
    assert unmet({"in_rotation": True}, "shop-3") == "the replica is drained"


@pytest.mark.parametrize(
    ("condition", "field", "message"),
    [
        ({}, "while", "one of release, flags, settings, providers, in_rotation, limits, shed, quarantine"),
        ({"flag": {}}, "while.flag", "did you mean 'flags'?"),
        ({"flags": {"old-pricing": True}}, "while.flags.old-pricing", "'new-pricing', 'recommendations-v2'"),
        ({"settings": {"retries": 1}}, "while.settings.retries", "'shop_timeout', 'shop_retries'"),
        ({"settings": {"shop_retries": "many"}}, "while", "settings.shop_retries: a number"),
        ({"settings": {"shop_retries": True}}, "while", "settings.shop_retries: a number"),
        ({"settings": {"shop_retries": {}}}, "while.settings.shop_retries", "one of above, at_least"),
        ({"settings": {"shop_retries": {"over": 1}}}, "while.settings.shop_retries.over", "unknown field"),
        ({"settings": {"shop_retries": [1]}}, "while.settings.shop_retries", "true or false, a number, or text"),
        ({"settings": {"shop_timeout": {"above": "soon"}}}, "while", "settings.shop_timeout: a duration is text"),
        ({"settings": {"shop_timeout": -1}}, "while.settings.shop_timeout", "a number from 0"),
        ({"settings": {"shop_breaker": 1}}, "while", "settings.shop_breaker: true or false"),
        ({"settings": {"shop_breaker": {"above": False}}}, "while", "settings.shop_breaker: true or false"),
        ({"settings": {"search": "off"}}, "while", "settings.search: one of live, cached"),
        ({"providers": {"payments": "stripe"}}, "while.providers.payments", "'acme' or 'bolt'"),
        ({"providers": {"db": "acme"}}, "while.providers.db", "'payments'"),
        ({"limits": {"acme": 0}}, "while.limits.acme", "match pattern"),
        ({"shed": {"browse": "most"}}, "while", "compared with numbers"),
    ],
)
def test_what_can_never_hold_is_refused(condition: dict[str, Any], field: str, message: str) -> None:
    """The message names what there is."""
    with pytest.raises(Invalid) as refused:
        validation.read(Fault, {"effect": {"type": "error"}, "while": condition})
    (error,) = refused.value.errors
    assert error["field"] == field
    assert message in error["message"]


def test_every_setting_can_be_compared_with_its_default() -> None:
    """So a setting that is added to the world works in conditions as well."""
    world = World()
    for name in ShopSettings.model_fields:
        value = world.document()["settings"][name]
        condition = Condition.model_validate({"settings": {name: value}})
        assert condition.unmet(world, "shop-1") is None
        assert Condition.model_validate_json(condition.model_dump_json()) == condition
