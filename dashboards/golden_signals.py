"""The golden signals of the shop: traffic, errors, latency, saturation (Google SRE Book, chapter 6), by route."""

from board import JOB, ROUTE, Board
from dependencies import dependencies
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import dashboard as model
from panels import CLEAR, GREEN, ORANGE, RED, Panel, across, by_route, course, number, objective, stacked, steps

from chaosapi.promql import ANSWERED, FAILED, Job, Requests

# The objectives of alerts/slo.yaml, each a line in its panel: ratios, and seconds.
AVAILABILITY = 0.999
ERROR_BUDGET = 0.001
LATENCY = 0.25

LAG = 0.1  # seconds
NO_LIMIT = "No limit on capacity"

UID = "chaosapi-golden-signals"
SERVICE = Job("$job", "$__rate_interval")
SERVED = Requests(SERVICE, handler="$handler")


def golden_signals() -> model.Dashboard:
    """Return the dashboard: the numbers of now, then a row for each signal."""
    return Board(
        UID,
        "Golden signals",
        "Traffic, errors, latency and saturation of the shop, by route.",
        variables=[JOB, ROUTE],
        numbers=_now(),
        rows={
            "Traffic": _traffic(),
            "Errors": _errors(),
            "Latency": _latency(),
            "Saturation": _saturation(),
            "Dependencies": dependencies(SERVICE),
        },
    ).build()


def _now() -> list[Panel]:
    good_high = steps((None, RED), (0.99, ORANGE), (AVAILABILITY, GREEN))
    good_low = steps((None, GREEN), (ERROR_BUDGET, ORANGE), (0.01, RED))
    in_time = steps((None, GREEN), (LATENCY, RED))
    success = "Share of requests answered without a 5xx, now. No answer (000) is a failure too."
    failed = "Share of requests answered with a 5xx, now. Without 000: what got no answer."
    average = "Mean time to answer, now. One slow request in a hundred hardly moves it."
    most = "19 of 20 requests are answered faster than this, now."
    nearly_all = "99 of 100 requests are answered faster than this, now."
    late = "How late the event loop is, now: all requests wait for it."
    return across(
        3,
        [
            number("Requests", "Requests answered per second, now.", "reqps", SERVED.rate()),
            number("Success", success, "percentunit", SERVED.share(ANSWERED)).thresholds(good_high).decimals(2),
            number("5xx", failed, "percentunit", SERVED.share(FAILED)).thresholds(good_low).decimals(2),
            number("Average", average, "s", SERVED.mean()),
            number("p95", most, "s", SERVED.quantile(0.95), runbook="HighLatency"),
            number("p99", nearly_all, "s", SERVED.quantile(0.99), runbook="HighLatency").thresholds(in_time),
            number("In progress", "Requests that wait for their answer, now.", "short", SERVED.in_progress()),
            number("Loop lag", late, "s", _lag(), "No data", runbook="EventLoopLag").thresholds(
                steps((None, GREEN), (LAG, ORANGE), (1, RED))
            ),
        ],
    )


def _lag(*by: str) -> str:
    return SERVICE.now("max", "chaosapi_event_loop_lag_seconds", *by)


def _traffic() -> list[Panel]:
    routes = course(
        "Requests by route",
        "How much is asked of the service. Look here first: a spike explains much that follows, and a sudden fall"
        " is an outage in front of the service, or clients that wait for slow answers. Click a line to see its route"
        " alone.",
        "reqps",
        (SERVED.rate("handler"), "{{handler}}"),
        runbook="TargetAbsent",
    )
    statuses = course(
        "Requests by status",
        "What became of the requests. 5xx is the service's fault, 4xx mostly the client's; 000 got no answer,"
        " or its client did not wait for it. Watch for a status that grows at the cost of another while the sum stays.",
        "reqps",
        (SERVED.rate("status"), "{{status}}"),
    )
    return [by_route(routes, UID), stacked(statuses)]


def _errors() -> list[Panel]:
    success = course(
        "Success rate by route",
        "The availability SLI: the share of requests answered without a 5xx; no answer (000) is a"
        " failure too. The line is the objective, 99.9 %. One sick route hides in an average over all, so compare the"
        " routes.",
        "percentunit",
        (SERVED.share(ANSWERED, "handler"), "{{handler}}"),
    )
    failures = course(
        "5xx rate by route",
        "The share of requests answered with a 5xx; 000, no answer, costs budget too but is not in here."
        " Above the line, 0.1 %, the error budget shrinks faster than it may: at ten times the line, 30 days of budget"
        " are gone in three. Compare with latency: errors are often fast.",
        "percentunit",
        (SERVED.share(FAILED, "handler"), "{{handler}}"),
    )
    return [
        by_route(objective(success, (None, RED), (AVAILABILITY, GREEN)).axis_soft_min(0.99).max(1), UID),
        by_route(objective(failures, (None, CLEAR), (ERROR_BUDGET, RED)), UID),
    ]


def _latency() -> list[Panel]:
    average = course(
        "Average latency by route",
        "The mean time to answer. It hides the slow tail, and it falls when requests fail fast: a better average during"
        " an error spike is no good news.",
        "s",
        (SERVED.mean("handler"), "{{handler}}"),
    )
    p95 = course(
        "p95 latency by route",
        "One request in twenty is slower. Estimated from histogram buckets, so it is as exact as the buckets are"
        " narrow. Rising with traffic means a queue; rising without means a slow dependency, or something that holds"
        " requests. The line, 250 ms, is what 99 % of the requests should keep, so p95 should lie well below it.",
        "s",
        (SERVED.quantile(0.95, "handler"), "{{handler}}"),
        runbook="HighLatency",
    )
    p99 = course(
        "p99 latency by route",
        "One request in a hundred is slower; who makes a hundred requests meets it. The latency objective says 99 %"
        " under 250 ms: above the line it is missed. With few requests, one slow one decides.",
        "s",
        (SERVED.quantile(0.99, "handler"), "{{handler}}"),
        runbook="HighLatency",
    )
    limit = ((None, CLEAR), (LATENCY, RED))
    return across(8, [by_route(each, UID) for each in (average, objective(p95, *limit), objective(p99, *limit))])


def _saturation() -> list[Panel]:
    waiting = course(
        "Requests in progress",
        "Requests that wait for their answer: arrivals per second times seconds each (Little's law). Growing at"
        " the same traffic, the service falls behind; it is the earliest sign of an overload.",
        "short",
        (SERVED.in_progress("handler"), "{{handler}}"),
    )
    lag = course(
        "Event-loop lag",
        "How late the one thread that serves all requests gets to its work, at worst in the last seconds. Tens"
        " of milliseconds mean that something blocks it, and every request waits for that.",
        "s",
        (_lag("instance"), "{{instance}}"),
        empty="No data",
        runbook="EventLoopLag",
    )
    cpu = course(
        "CPU",
        "Processor time that the service itself uses; 100 % is one core. One event loop cannot use more than one:"
        " near the line it is saturated, and latency grows though nothing is broken.",
        "percentunit",
        (SERVICE.rate("process_cpu_seconds_total", "instance"), "{{instance}}"),
        empty="No data",
    )
    memory = course(
        "Memory",
        "Resident memory of the service. It should level off: a line that only climbs is a leak, and ends with the"
        " process being killed. Requests that pile up take memory too, so compare with those in progress.",
        "bytes",
        (SERVICE.now("sum", "process_resident_memory_bytes", "instance"), "{{instance}}"),
        empty="No data",
    )
    late = objective(lag, (None, CLEAR), (LAG, RED))
    busy = objective(cpu, (None, CLEAR), (1, RED))
    return across(8, [by_route(waiting, UID), *_capacity(), late, busy, memory])


def _capacity() -> list[timeseries.Panel]:
    places = course(
        "Places and queue",
        "Where the service serves only so many requests at once: how many it serves, and how many wait for a place. All"
        " places taken and a growing queue is saturation: latency grows first, refusals follow once the queue is full.",
        "short",
        (SERVICE.now("sum", "chaosapi_capacity_in_use"), "served"),
        (SERVICE.now("sum", "chaosapi_capacity_queued"), "queued"),
        empty=NO_LIMIT,
        runbook="CapacityExhausted",
    )
    refused = course(
        "Refused",
        "Requests turned away with 503, because the queue was full or the wait in it too long. Clients that try again"
        " at once keep this up after the spike is over: a metastable failure.",
        "reqps",
        (SERVICE.rate("chaosapi_capacity_rejected_total"), "refused"),
        empty=NO_LIMIT,
        runbook="CapacityExhausted",
    )
    return [places, refused]
