"""Whether traffic reaches an SLO and a fault: a forecast without any request would be an answer about nothing."""

import difflib
from collections.abc import Iterable
from typing import Final

from chaosapi import errors
from chaosapi.faults.fault import Fault
from chaosapi.forecast import exposure, indicator
from chaosapi.forecast.indicator import ForeignQueryError, Term
from chaosapi.forecast.past import Past
from chaosapi.forecast.traffic import Traffic, TrafficRoute
from chaosapi.slo.spec import Objective

_MAX_LISTED: Final = 10


def refusal(slo: Objective, traffic: Traffic, past: Past | None = None) -> str | None:
    """Return why the SLO cannot be forecast under this traffic, after this past; None where it can."""
    try:
        read = indicator.parse_indicator(slo, past.labels if past else ())
    except ForeignQueryError as error:
        return str(error)
    # Without a fault there need not be any failures: an error query only has to be about routes that are requested.
    for field, terms in (("total_query", read.total), ("error_query", [term.any_status() for term in read.error])):
        for term in terms:
            if not any(term.matches(route.labels) for route in traffic.mix):
                return f"its {field} gets no request. It selects {term}; {_traffic_has(traffic)}{_hint(term, traffic)}"
    for term in read.total:
        if past and not any(past.goes_on(each) for each in past.series.get(str(term), ())):
            return f"its total_query selects {term}, of which {past.source} has no series{_near(term, past)}"
    return None


def _near(term: Term, past: Past) -> str:
    """Say which values of the selector's labels there are."""
    series = [each for found in past.series.values() for each in found if past.goes_on(each)]
    known = {
        matcher.label: sorted({each.labels.get(matcher.label, "") for each in series})[:_MAX_LISTED]
        for matcher in term.matchers
        if matcher.label != "le"
    }
    return "; it has " + " and ".join(
        f"{label} {', '.join(map(repr, values))}" for label, values in known.items() if values
    )


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
