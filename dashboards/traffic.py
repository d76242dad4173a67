"""The load test and the service side by side: what was planned, what was sent, what arrived, and what each side saw."""

from board import JOB, ROUTE, Board, variable
from golden_signals import LATENCY
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import dashboard as model
from panels import (
    CLEAR,
    LOWEST_FIRST,
    ORANGE,
    PLAIN,
    RED,
    ROUTES,
    Panel,
    across,
    by_route,
    by_status,
    colored,
    course,
    label,
    number,
    objective,
    stacked,
    steps,
)
from status import status

from chaosapi.promql import ANSWERED, Job, Requests

UID = "chaosapi-traffic"
WINDOW = "$__rate_interval"
LOAD = Job("$load", WINDOW)
SENT = Requests(LOAD, "loadtest", "$handler")
SERVED = Requests(Job("$job", WINDOW), handler="$handler")
NO_LOAD = "No load test"


def traffic() -> model.Dashboard:
    """Return the dashboard: numbers of the load test, then client and server in the same panels."""
    return Board(
        UID,
        "Traffic",
        "The load test and the service side by side: what was planned, what arrived, and what each side saw.",
        variables=[JOB, variable("load", "Load test", "label_values(loadtest_info, job)"), ROUTE],
        top=[*status(SERVED.job), *_now()],
        rows={"Rate": _rate(), "Client and server": _sides(), "As clients see it": _clients()},
    ).build()


def _now() -> list[Panel]:
    played = LOAD.now("max", "loadtest_info", "scenario", "model")
    return [
        label(
            "Scenario",
            "What the load test plays; open: it sends on time whatever happens, closed: it waits for answers.",
            (f'label_join({played}, "played", ", ", "scenario", "model")', "{{played}}"),
            NO_LOAD,
        ),
        number(
            "Planned",
            "Requests per second that the scenario asks for now.",
            "reqps",
            LOAD.now("sum", "loadtest_planned_rate"),
            NO_LOAD,
        ),
        number(
            "Sent",
            "Requests per second that clients completed, with or without an answer.",
            "reqps",
            SENT.rate(),
            NO_LOAD,
        ),
        number("Served", "Requests per second that the service answered.", "reqps", SERVED.rate()),
        number(
            "Missed",
            "Share of the planned requests that were never sent, or too late.",
            "percentunit",
            _missed(),
            NO_LOAD,
        )
        .thresholds(steps((None, PLAIN), (0.001, ORANGE), (0.03, RED)))
        .decimals(1),
        number(
            "In flight", "Requests that clients wait for now.", "short", LOAD.now("sum", "loadtest_inflight"), NO_LOAD
        ),
    ]


def _missed() -> str:
    return LOAD.share("loadtest_missed_total", "loadtest_planned_total")


def _rate() -> list[Panel]:
    rates = course(
        "Offered and achieved rate",
        "Planned and offered should agree always: the load test keeps its plan, whatever the service does. Sent counts"
        " retries too: above the plan, clients make a bad day worse; below it, requests are missed or still under way."
        " Served differs from sent by what others ask of the service, and by what never arrived. All routes.",
        "reqps",
        (LOAD.now("sum", "loadtest_planned_rate"), "planned"),
        (LOAD.rate("loadtest_planned_total"), "offered"),
        (Requests(LOAD, "loadtest").rate(), "sent"),
        (LOAD.rate("loadtest_retries_total"), "of these, retries"),
        (Requests(SERVED.job).rate(), "served"),
        empty=NO_LOAD,
    )
    missed = course(
        "Missed by reason",
        "Planned requests that were not sent in time, and why. A load test that misses requests measures less than it"
        " claims: what it did not send would have waited longest. Give it more processes, or a lower rate.",
        "reqps",
        (LOAD.rate("loadtest_missed_total", "reason"), "{{reason}}"),
        empty="None missed",
    )
    flying = course(
        "In flight and in progress",
        "Requests that clients wait for, and that the service works on. More in flight than in progress: they wait in"
        " front of the service, in queues of the network, the kernel or a full event loop.",
        "short",
        (LOAD.now("sum", "loadtest_inflight"), "client: in flight"),
        (Requests(SERVED.job).in_progress(), "server: in progress"),
        empty=NO_LOAD,
    )
    colored(rates, {"planned": "#9FA7B3", "offered": "#5794F2", "sent": "#FADE2A", "served": "#6ED0E0"})
    return across(8, [rates, stacked(missed).axis_soft_max(1), flying.axis_soft_max(10)])


def _sides() -> list[Panel]:
    success = course(
        "Success rate, client and server",
        "The share of requests answered without a 5xx, as each side counts; no answer (000) is a failure too. A gap"
        " means failures that only one side sees: answers that came after the client had given up, or requests that"
        " never reached the service.",
        "percentunit",
        (SENT.share(ANSWERED), "client"),
        (SERVED.share(ANSWERED), "server"),
        order=LOWEST_FIRST,
    )
    p95 = _latencies(
        "p95 latency, client and server",
        0.95,
        "The server counts from a request's arrival, the client from the moment it was meant to be sent: the gap is"
        " what waits in front of the service. Watch for a server that looks well while clients wait.",
    )
    p99 = _latencies(
        "p99 latency, client and server",
        0.99,
        "The same for one request in a hundred, where queues show first. With the line, 250 ms, as the promise: it is"
        " the client's line that users feel, and the server's that pages.",
    )
    limit = ((None, CLEAR), (LATENCY, RED))
    latencies = [objective(each, *limit).axis_soft_max(0.3) for each in (p95, p99)]
    return across(8, [success.axis_soft_min(0.99).max(1), *latencies])


def _latencies(title: str, ratio: float, about: str) -> timeseries.Panel:
    return course(title, about, "s", (SENT.quantile(ratio), "client"), (SERVED.quantile(ratio), "server"))


def _clients() -> list[Panel]:
    routes = course(
        "Sent by route",
        "The mix of the scenario. It should keep its proportions whatever happens to the service; in a closed model"
        " slow routes hold their users back, and the mix shifts to the fast ones.",
        "reqps",
        (SENT.rate("handler"), ROUTES),
        empty=NO_LOAD,
    )
    statuses = course(
        "Answers by status",
        "What clients got. 000 is no answer: a reset, a time-out, or an answer that broke off. The server may well have"
        " counted a 200 for it.",
        "reqps",
        (f"{SENT.rate('status')} > 0", "{{status}}"),
        empty=NO_LOAD,
    )
    return [by_route(routes, UID, "load"), by_status(statuses)]
