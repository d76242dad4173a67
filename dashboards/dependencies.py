"""How the shop's dependencies do, as the shop sees it."""

from panels import GREEN, RED, Panel, course, stacked, states

from chaosapi.promql import Job


def dependencies(service: Job) -> list[Panel]:
    """Return what became of the calls, and which circuit breakers are open."""
    calls = course(
        "Calls that failed",
        "Calls to what the shop depends on that did not succeed, each try counted. Errors and time-outs are its own;"
        " rejected ones were never made, because the breaker is open. Retries multiply the calls while it is sick:"
        " compare with the requests.",
        "suffix: calls/s",
        (service.rate("chaosapi_shop_calls_total", "dependency", "outcome", where='outcome!="ok"'), _LEGEND),
        empty="No calls",
    )
    made = course(
        "Calls that succeeded",
        "Calls that came back well. When this falls while requests do not, the shop answers without its dependency, or"
        " fails fast. When it rises more than the requests do, something tries again and again.",
        "suffix: calls/s",
        (service.rate("chaosapi_shop_calls_total", "dependency", where='outcome="ok"'), "{{dependency}}"),
        empty="No calls",
    )
    breakers = states(
        "Circuit breakers",
        "Open means that the shop has given up on the dependency for some seconds and refuses at once what needs it:"
        " fast errors instead of slow ones. Flapping means that it is still sick each time it is tried again.",
        {0: ("closed", GREEN), 1: ("open", RED)},
        (service.now("max", "chaosapi_shop_breaker_open", "dependency"), "{{dependency}}"),
        empty="No data",
    )
    return [panel.span(8) for panel in (made, stacked(calls).axis_soft_max(1), breakers)]


_LEGEND = "{{dependency}} {{outcome}}"
