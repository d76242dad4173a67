"""The golden signals of the shop: traffic, errors, latency, saturation (Google SRE Book, chapter 6), by route."""

from board import INSTANCE, JOB, ROUTE, Board
from dependencies import dependencies
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import dashboard as model
from operations import operations
from panels import (
    BUSIEST_FIRST,
    CLEAR,
    GREEN,
    LOWEST_FIRST,
    ORANGE,
    PURPLE,
    RED,
    ROUTES,
    Panel,
    across,
    by_route,
    by_status,
    color,
    course,
    objective,
    steps,
    trend,
)
from status import status

from chaosapi.promql import ANSWERED, FAILED, UNANSWERED, Job, Requests

# The objectives of alerts/slo.yaml, each a line in its panel: ratios, and seconds.
AVAILABILITY = 0.999
ERROR_BUDGET = 0.001
LATENCY = 0.25

LAG = 0.1  # seconds
UID = "chaosapi-golden-signals"
SERVICE = Job("$job", "$__rate_interval", "$instance")
SERVED = Requests(SERVICE, handler="$handler")


def golden_signals() -> model.Dashboard:
    """Return the dashboard: what is wrong, six numbers and their six curves on one screen, then the rest."""
    return Board(
        UID,
        "Golden signals",
        "Traffic, errors, latency and saturation of the shop, by route.",
        variables=[JOB, INSTANCE, ROUTE],
        top=[*status(SERVICE), *(panel.height(5) for panel in _numbers()), *across(8, _curves())],
        rows={
            "Statuses and saturation": _saturation(),
            "Dependencies": dependencies(SERVICE),
            "Operations": operations(SERVICE),
        },
    ).build()


def _numbers() -> list[Panel]:
    good_high = steps((None, RED), (0.99, ORANGE), (AVAILABILITY, GREEN))
    good_low = steps((None, GREEN), (ERROR_BUDGET, ORANGE), (0.01, RED))
    in_time = steps((None, GREEN), (LATENCY, RED))
    rate = (
        "Requests per second that the service answers now. It says how much the other numbers weigh. Watch for a spike,"
        " which explains much that follows, and for a sudden fall: an outage in front of the service."
    )
    success = (
        "Share of requests answered without a 5xx, now: what users get. No answer (000) is a failure too. Watch for"
        " anything under the objective, 99.9 %."
    )
    failed = (
        "Share of requests answered with a 5xx, now: failures that are the service's own. Those without an answer (000)"
        " lower the success rate and are not in here. Above 0.1 % the error budget shrinks faster than it may."
    )
    average = (
        "Mean time to answer, now. It says whether all requests got slower: one slow request in a hundred hardly moves"
        " it, and fast errors pull it down. Watch for a rise at the same traffic."
    )
    most = (
        "19 of 20 requests are answered faster than this, now. It shows the slow tail that an average hides. Watch for"
        " more than 250 ms: then one request in twenty misses what 99 % should keep."
    )
    nearly_all = (
        "99 of 100 requests are answered faster than this, now: who makes a hundred requests meets it. The objective"
        " is 250 ms. With few requests one slow one decides."
    )
    return [
        trend("RPS", rate, "reqps", f"{SERVED.rate()} or vector(0)"),
        trend("Success rate", success, "percentunit", SERVED.share(ANSWERED)).max(1).thresholds(good_high).decimals(1),
        trend("5xx error rate", failed, "percentunit", SERVED.share(FAILED)).thresholds(good_low).decimals(1),
        trend("Average latency", average, "s", SERVED.mean(), never_zero=True).thresholds(in_time),
        trend("p95 latency", most, "s", SERVED.quantile(0.95), never_zero=True, runbook="HighLatency").thresholds(
            in_time
        ),
        trend("p99 latency", nearly_all, "s", SERVED.quantile(0.99), never_zero=True, runbook="HighLatency").thresholds(
            in_time
        ),
    ]


def _curves() -> list[timeseries.Panel]:
    rate = course(
        "RPS by route",
        "How much is asked of the service. Look here first: a spike explains much that follows, and a sudden fall"
        " is an outage in front of the service, or clients that wait for slow answers. Click a line to see its route"
        " alone.",
        "short",
        (SERVED.rate("handler"), ROUTES),
        order=BUSIEST_FIRST,
        runbook="TargetAbsent",
    ).axis_soft_max(1)
    success = course(
        "Success rate by route",
        "The availability SLI: the share of requests answered without a 5xx; no answer (000) is a"
        " failure too. The line is the objective, 99.9 %. One sick route hides in an average over all: the lowest"
        " stands first.",
        "percentunit",
        (SERVED.share(ANSWERED, "handler"), ROUTES),
        order=LOWEST_FIRST,
    )
    failures = course(
        "5xx error rate by route",
        "The share of requests answered with a 5xx, and of all requests the share that got no answer (000), which costs"
        " budget too. Above the line, 0.1 %, the error budget shrinks faster than it may: at ten times the line, 30"
        " days of budget are gone in three. Compare with latency: errors are often fast.",
        "percentunit",
        (SERVED.share(FAILED, "handler"), ROUTES),
        (SERVED.share(UNANSWERED), "no answer (000), all routes"),
    ).override_by_name("no answer (000), all routes", [color(PURPLE)])
    average = course(
        "Average latency by route",
        "The mean time to answer. It hides the slow tail, and it falls when requests fail fast: a better average during"
        " an error spike is no good news. The line, 250 ms, is what 99 % of the requests should keep.",
        "s",
        (SERVED.mean("handler"), ROUTES),
    )
    p95 = course(
        "p95 latency by route",
        "One request in twenty is slower. Estimated from histogram buckets, so it is as exact as the buckets are"
        " narrow. Rising with traffic means a queue; rising without means a slow dependency, or something that holds"
        " requests. The line, 250 ms, is what 99 % of the requests should keep, so p95 should lie well below it.",
        "s",
        (SERVED.quantile(0.95, "handler"), ROUTES),
        runbook="HighLatency",
    )
    p99 = course(
        "p99 latency by route",
        "One request in a hundred is slower; who makes a hundred requests meets it. The latency objective says 99 %"
        " under 250 ms: above the line it is missed. With few requests, one slow one decides.",
        "s",
        (SERVED.quantile(0.99, "handler"), ROUTES),
        runbook="HighLatency",
    )
    limit = ((None, CLEAR), (LATENCY, RED))
    panels = [
        rate,
        objective(success, (None, RED), (AVAILABILITY, GREEN)).axis_soft_min(0.99).max(1),
        objective(failures, (None, CLEAR), (ERROR_BUDGET, RED)).axis_soft_max(0.01),
        *(objective(each, *limit).axis_soft_max(0.3) for each in (average, p95, p99)),
    ]
    return [by_route(panel, UID, "instance") for panel in panels]


def _lag(*by: str) -> str:
    return SERVICE.now("max", "chaosapi_event_loop_lag_seconds", *by)


def _statuses() -> timeseries.Panel:
    panel = course(
        "Requests by status",
        "What became of the requests. 5xx is the service's fault, 4xx mostly the client's; 000 got no answer,"
        " or its client did not wait for it. Watch for a status that grows at the cost of another while the sum stays.",
        "reqps",
        (f"{SERVED.rate('status')} > 0", "{{status}}"),
    )
    return by_status(panel)


def _saturation() -> list[Panel]:
    waiting = course(
        "Requests in progress",
        "Requests that wait for their answer: arrivals per second times seconds each (Little's law). Growing at"
        " the same traffic, the service falls behind; it is the earliest sign of an overload.",
        "short",
        (SERVED.in_progress("handler"), ROUTES),
    ).axis_soft_max(10)
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
    first_byte = course(
        "p95 time to first byte",
        "19 of 20 answers begin earlier than this, failures left out. For a stream it is the wait for the first token,"
        " which its user feels; latency is the time until the last one. Above it, the rest is the time to send.",
        "s",
        (
            SERVICE.quantile(0.95, "http_request_time_to_first_byte_seconds", "handler", where='handler=~"$handler"'),
            ROUTES,
        ),
    )
    late = objective(lag, (None, CLEAR), (LAG, RED))
    busy = objective(cpu, (None, CLEAR), (1, RED))
    return [
        *across(8, [_statuses(), by_route(waiting, UID, "instance"), late]),
        *across(8, [by_route(first_byte, UID, "instance"), busy, memory]),
        *across(8, _capacity()),
    ]


def _capacity() -> list[timeseries.Panel]:
    places = course(
        "Places and queue",
        "Where the service serves only so many requests at once: how many it serves, and how many wait for a place. All"
        " places taken and a growing queue is saturation: latency grows first, refusals follow once the queue is full.",
        "short",
        (SERVICE.now("sum", "chaosapi_queue_in_use"), "served"),
        (SERVICE.now("sum", "chaosapi_queue_waiting"), "queued"),
        empty="No data",
        runbook="CapacityExhausted",
    )
    refused = course(
        "Refused",
        "Requests turned away with 503, because the queue was full or the wait in it too long. Clients that try again"
        " at once keep this up after the spike is over: a metastable failure.",
        "reqps",
        (SERVICE.rate("chaosapi_queue_rejected_total"), "refused"),
        empty="No data",
        runbook="CapacityExhausted",
    )
    wait = course(
        "p95 wait for a place",
        "How long requests wait before the service begins with them, by route. This is latency that no dependency and"
        " no handler causes: the places are taken. It grows long before the first request is refused.",
        "s",
        (SERVICE.quantile(0.95, "chaosapi_queue_wait_seconds", "handler"), ROUTES),
        empty="Nobody waits",
        runbook="CapacityExhausted",
    )
    return [places, wait, refused]
