"""Whether traffic reaches an SLO and a fault: a forecast without any request would be an answer about nothing."""

import difflib
from collections.abc import Iterable
from typing import Final

from chaosapi import errors
from chaosapi.faults.fault import Fault
from chaosapi.forecast import exposure, indicator
from chaosapi.forecast.indicator import ForeignQueryError, Term
from chaosapi.forecast.traffic import Traffic, TrafficRoute
from chaosapi.slo.spec import Objective

_MAX_LISTED: Final = 10


def refusal(slo: Objective, traffic: Traffic) -> str | None:
    """Return why the SLO cannot be forecast under this traffic; None where it can."""
    try:
        read = indicator.parse_indicator(slo)
    except ForeignQueryError as error:
        return str(error)
    # Without a fault there need not be any failures: an error query only has to be about routes that are requested.
    for field, terms in (("total_query", read.total), ("error_query", [term.any_status() for term in read.error])):
        for term in terms:
            if not any(term.matches(route.labels) for route in traffic.mix):
                return f"its {field} gets no request. It selects {term}; {_traffic_has(traffic)}{_hint(term, traffic)}"
    return None


def check_faults(faults: Iterable[Fault], traffic: Traffic) -> None:
    """Raise errors.Invalid for a fault that hits none of the requests."""
    for fault in faults:
        target = fault.target
        if not any(exposure.matches(fault, route) for route in traffic.mix):
            aimed = " ".join([*(target.methods or []), *(target.routes or [])])
            raise errors.Invalid.field("target", f"{aimed} gets no request: {_traffic_has(traffic)}")


def _traffic_has(traffic: Traffic) -> str:
    """Return the routes of the traffic as label sets, the busiest first."""
    ordered = sorted(traffic.mix.items(), key=lambda each: -each[1])
    listed = ", ".join(_labels(route) for route, _ in ordered[:_MAX_LISTED])
    more = f" and {len(ordered) - _MAX_LISTED} more" if len(ordered) > _MAX_LISTED else ""
    return f"the traffic ({traffic.source}) has {listed}{more}"


def _labels(route: TrafficRoute) -> str:
    return "{" + ",".join(f'{label}="{value}"' for label, value in route.labels.items()) + "}"


def _hint(term: Term, traffic: Traffic) -> str:
    wanted = next((each.value for each in term.matchers if each.label == "handler" and not each.negative), "")
    near = difflib.get_close_matches(wanted, [route.handler for route in traffic.mix], n=1)
    return f": did you mean {near[0]}?" if near and near[0] != wanted else ""
