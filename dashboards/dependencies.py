"""How the shop's dependencies do, as the shop sees it."""

from panels import GREEN, ORANGE, RED, Panel, across, course, stacked, states

from chaosapi.promql import Job


def dependencies(service: Job) -> list[Panel]:
    """Return how long calls take, how they end, what the shop does about it, and which wait for a connection."""
    slow = course(
        "p95 of calls that succeeded",
        "19 of 20 calls that came back well took less, each try counted. This is where a slow dependency shows, long"
        " before it is so slow that calls time out: compare with the latency of the routes that use it.",
        "s",
        (service.quantile(0.95, _DURATION, "dependency", where='outcome="ok"'), "{{dependency}}"),
        empty="No calls",
        runbook="HighLatency",
    )
    retries = course(
        "Retries",
        "Tries after the first. They hide single failures from users, and multiply the load on a dependency that is"
        " sick already: at two retries it gets up to three times the calls.",
        "suffix: calls/s",
        (service.rate("chaosapi_dependency_retries_total", "dependency"), "{{dependency}}"),
        empty="No data",
    )
    calls = course(
        "Calls that failed",
        "Calls to what the shop depends on that did not succeed, each try counted. Errors and time-outs are its own;"
        " rejected ones were never made, because the breaker is open. Retries multiply the calls while it is sick:"
        " compare with the requests.",
        "suffix: calls/s",
        (service.rate(f"{_DURATION}_count", "dependency", "outcome", where='outcome!="ok"'), _LEGEND),
        empty="No calls",
    )
    made = course(
        "Calls that succeeded",
        "Calls that came back well. When this falls while requests do not, the shop answers without its dependency, or"
        " fails fast. When it rises more than the requests do, something tries again and again.",
        "suffix: calls/s",
        (service.rate(f"{_DURATION}_count", "dependency", where='outcome="ok"'), "{{dependency}}"),
        empty="No calls",
    )
    breakers = states(
        "Circuit breakers",
        "Open means that the shop has given up on the dependency for some seconds and refuses at once what needs it:"
        " fast errors instead of slow ones. Half-open, it tries one call. Flapping means: still sick each time.",
        {0: ("closed", GREEN), 1: ("half-open", ORANGE), 2: ("open", RED)},
        (_breaker(service), "{{dependency}}"),
        empty="No data",
    )
    pool = course(
        "Connections",
        "Where only so many calls to a dependency may run at once: how many run, and how many wait for a connection."
        " All taken and a growing queue is a full pool: every request that needs the dependency waits for it.",
        "short",
        (service.now("sum", "chaosapi_pool_in_use", "dependency"), "{{dependency}} in use"),
        (service.now("sum", "chaosapi_pool_waiting", "dependency"), "{{dependency}} waiting"),
        empty="No data",
        runbook="CapacityExhausted",
    )
    wait = course(
        "p95 wait for a connection",
        "How long calls wait before they begin. It is part of their duration: a call that is slow because of this wait"
        " is slow though the dependency is not.",
        "s",
        (service.quantile(0.95, "chaosapi_pool_wait_seconds", "dependency"), "{{dependency}}"),
        empty="Nobody waits",
        runbook="CapacityExhausted",
    )
    refused = course(
        "Calls without a connection",
        "Calls that got none, because too many waited already or the wait took too long. To the shop it is a failure of"
        " the dependency.",
        "suffix: calls/s",
        (service.rate("chaosapi_pool_rejected_total", "dependency"), "{{dependency}}"),
        empty="No data",
        runbook="CapacityExhausted",
    )
    failed = stacked(calls).axis_soft_max(1)
    return [*across(8, [slow, made, failed]), *across(12, [breakers, retries]), *across(8, [pool, wait, refused])]


def _breaker(service: Job) -> str:
    """Return 2 for each dependency whose breaker is open in a process, 1 for half-open, 0 for closed."""
    state = "chaosapi_shop_breaker_state"
    is_open, half_open = (
        f"({service.now('max', state, 'dependency', where=f'state={text}')} > bool 0)"
        for text in ('"open"', '"half-open"')
    )
    return f"2 * {is_open} + {half_open} * (1 - {is_open})"


_DURATION = "chaosapi_dependency_request_duration_seconds"
_LEGEND = "{{dependency}} {{outcome}}"
