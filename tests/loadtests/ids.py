"""Which requests of a plan these are, by their ids, for runs with the seed 0."""

from typing import Any, Final

from tests.loadtests.pure import module

_ARRIVALS: Any = module("_arrivals")
_SCENARIOS: Any = module("_scenarios")
_MOST: Final = 2000
"""More requests than any of these runs sends."""

SCENARIO: Final[dict[str, str]] = {
    _ARRIVALS.request_id(name, 0, number): name for name in _SCENARIOS.SCENARIOS for number in range(_MOST)
}
"""The scenario of each planned request."""


def is_planned(request_id: str) -> bool:
    """Return whether a request is one of a plan, or a retry of one; those before the start are not."""
    return request_id.partition("-")[0] in SCENARIO
