"""A forecast in short texts, for the form of a fault."""

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]


def alerts(outlook: Json) -> list[tuple[str, ...]]:
    """Return a row for each alert that will fire: name, firing time, its expected range, notified, resolved."""
    return [_alert(alert) for alert in outlook["alerts"] if alert["fires"]]


def verdict(outlook: Json) -> list[str]:
    """Return nothing if an alert will fire; else say so, and name the alert that comes nearest."""
    if any(alert["fires"] for alert in outlook["alerts"]):
        return []
    nearest = max(outlook["alerts"], key=lambda alert: float(alert["reach"]), default=None)
    if nearest is None or not nearest["reach"]:
        return ["No alert will fire."]
    return ["No alert will fire.", f"Nearest is {_name(nearest)}, at {nearest['reach']:.0%} of what fires it."]


def budgets(outlook: Json) -> list[str]:
    """Return how much of each error budget the fault spends."""
    return [
        f"{budget['slo']}: {_share(budget['spent'])} of the budget"
        f" ({budget['bad']:,.0f} of {budget['requests']:,.0f} requests)"
        for budget in outlook["budgets"]
        if budget["bad"] > 0
    ] or ["No error budget is spent."]


def remarks(outlook: Json) -> Iterable[str]:
    """Yield what the forecast assumes and leaves out."""
    known = outlook["assumptions"]
    yield f"Assumed: {known['requests_per_second']:.3g} requests/s ({known['traffic']}), and no other fault."
    for refused in outlook["refused"]:
        yield f"No forecast of {refused['slo']}: {refused['reason']}"
    for reason in outlook["not_modelled"]:
        yield f"Not modelled: {reason}"


def _alert(alert: Json) -> tuple[str, ...]:
    first = alert["moments"][0]
    chance = alert["chance"]
    if first["firing"] is None:
        return (_name(alert), "pending only", "", "", "")
    range_ = f"{chance['earliest'] or 'never'} to {chance['latest'] or 'never'}"
    return (_name(alert), first["firing"], range_, first["notified"] or "muted", first["resolved"] or "-")


def _name(alert: Json) -> str:
    return f"{alert['severity']} {alert['slo']} {alert['long_window']}/{alert['short_window']}"


def _share(share: float) -> str:
    return f"{share:.2%}" if share < 1 else f"{share:.3g} times all"
