from typing import Any

import pytest
from pydantic import ValidationError

from chaosapi.faults.fault import Fault, Record, Target

ERROR = {"type": "error"}


def record(**fields: Any) -> Record:
    """Return the record of a fault created at time 1000."""
    spec = Fault.model_validate({"effect": ERROR, **fields})
    return Record(name="f", spec=spec, created_at=1000.0, revision=1)


def test_only_the_effect_is_required() -> None:
    """The defaults hit every request with 503 for 15 minutes."""
    fault = Fault.model_validate({"effect": ERROR})
    assert (fault.effect.model_dump()["status"], fault.rate, fault.schedule.duration) == (503, 1.0, 900.0)
    assert fault.target.matches_route("/api/anything")


@pytest.mark.parametrize(
    ("pattern", "template", "matches"),
    [
        ("/api/*", "/api/products/{product_id}", True),
        ("/api/products", "/api/products", True),
        ("/api/products", "/api/products/{product_id}", False),
        ("/api/products/{product_id}", "/api/products/{product_id}", True),
        ("/api/products/*", "/api/products/{product_id}", True),
        ("/api/*/items", "/api/cart/{cart_id}/items", True),
        ("/api/[a-z]*", "/api/products", False),
        ("/api/product?", "/api/products", False),
        ("/*", "/api/search", True),
    ],
)
def test_routes_are_templates_or_globs(pattern: str, template: str, matches: bool) -> None:  # noqa: FBT001 - a table
    """`*` is the only wildcard."""
    assert Target(routes=[pattern]).matches_route(template) is matches


def test_methods_and_header_names_are_case_insensitive() -> None:
    """Methods are stored in upper case and header names in lower case."""
    target = Target.model_validate({"methods": ["post"], "headers": {"X-Tenant": "Acme"}, "sticky_by": "X-User-Id"})
    assert (target.methods, target.headers, target.sticky_by) == (["POST"], {"x-tenant": "Acme"}, "x-user-id")


def test_a_faults_phase_follows_the_clock() -> None:
    """Scheduled, active, ended, without any call."""
    fault = record(schedule={"start_after": 10, "duration": 60})
    assert [fault.phase(time) for time in (1000, 1009.9, 1010, 1069.9, 1070)] == [
        "scheduled",
        "scheduled",
        "active",
        "active",
        "ended",
    ]


def test_an_early_end_counts_and_a_late_one_does_not() -> None:
    """Ending a fault can only shorten it."""
    fault = record(schedule={"duration": 60})
    assert fault.model_copy(update={"ended_at": 1030.0}).ends_at == 1030
    assert fault.model_copy(update={"ended_at": 1090.0}).ends_at == 1060


def test_only_an_effect_with_a_magnitude_can_be_scaled() -> None:
    """A delay can be half as long; an error has no magnitude."""
    shape = {"type": "ramp", "up": "1m", "scales": "magnitude"}
    latency = {"type": "latency", "distribution": {"type": "constant", "value": 1}}
    fault = Fault.model_validate({"effect": latency, "schedule": {"shape": shape}})
    assert fault.schedule.shape.scales == "magnitude"
    with pytest.raises(ValidationError, match="no magnitude"):
        Fault.model_validate({"effect": ERROR, "schedule": {"shape": shape}})
