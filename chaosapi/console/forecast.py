"""What a forecast says, in the few words that fit beside a form."""

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]


def alerts(outlook: Json) -> list[tuple[str, ...]]:
    """Return which alerts will fire: name, when, the range by chance, when somebody is told, when it is over."""
    return [_alert(alert) for alert in outlook["alerts"] if alert["fires"]]


def verdict(outlook: Json) -> list[str]:
    """Return that nothing will fire where that is so, and what comes nearest."""
    if any(alert["fires"] for alert in outlook["alerts"]):
        return []
    nearest = max(outlook["alerts"], key=lambda alert: float(alert["reach"]), default=None)
    if nearest is None or not nearest["reach"]:
        return ["No alert will fire."]
    return ["No alert will fire.", f"Nearest is {_name(nearest)}, at {nearest['reach']:.0%} of what fires it."]


def budgets(outlook: Json) -> list[str]:
    """Return what it costs each budget that it touches."""
    return [
        f"{budget['slo']}: {_share(budget['spent'])} of the budget"
        f" ({budget['bad']:,.0f} of {budget['requests']:,.0f} requests)"
        for budget in outlook["budgets"]
        if budget["bad"] > 0
    ] or ["It costs no budget."]


def remarks(outlook: Json) -> Iterable[str]:
    """Yield what the forecast takes for granted and leaves out."""
    yield f"With {outlook['traffic']['rps']:.3g} requests/s, and no other fault."
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
