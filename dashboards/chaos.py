"""The instructor's view: what faults were asked to do, what they did, and what users got."""

from board import FAULTS, INSTRUCTOR, JOB, PAGES, Board
from dependencies import dependencies
from grafana_foundation_sdk.models import dashboard as model
from panels import (
    GREEN,
    LOWEST_FIRST,
    ORANGE,
    PLAIN,
    RED,
    Panel,
    across,
    by_status,
    course,
    number,
    stacked,
    states,
    steps,
)
from status import status

from chaosapi.promql import ANSWERED, Job, Requests, firing, on_newest

SERVICE = Job("$job", "$__rate_interval")
SERVED = Requests(SERVICE)
NO_FAULT = "No fault"


def chaos() -> model.Dashboard:
    """Return the dashboard: what acts now, cause above effect, with the faults as annotations."""
    return Board(
        "chaosapi-chaos",
        "Chaos",
        "For instructors: what the faults were asked to do, what they did, and what users got.",
        variables=[JOB],
        top=[*status(SERVICE), *_now()],
        rows={"Faults": _faults(), "What users get": _users()},
        folded={"Inside": _inside(), "Dependencies": dependencies(SERVICE)},
        annotations=[FAULTS, PAGES.hidden()],
        tag=INSTRUCTOR,
    ).build()


def _now() -> list[Panel]:
    active = "Faults that act now. None during a drill: the schedule has not begun, or everything was stopped."
    revision = "Grows by one with every change to the set of faults, the same on all replicas."
    known = "Replicas that Prometheus scrapes."
    applied = "Replicas that act on the newest revision. Fewer than are known: a change is still on its way."
    held = "Requests that faults delay or hang now. Past the cap, injections are skipped."
    store = "Whether the shared store answers. Away, faults go on and end on time, but changes are refused."
    number_of = SERVICE.now
    return [
        number("Faults active", active, "short", number_of("max", "chaosapi_faults_active"), "No data").thresholds(
            steps((None, PLAIN), (1, ORANGE))
        ),
        number("Revision", revision, "none", number_of("max", "chaosapi_revision"), "No data").decimals(0),
        number(
            "Replicas known",
            known,
            "short",
            number_of("count", "chaosapi_revision"),
            "No data",
            runbook="TargetAbsent",
        ),
        number("Replicas applied", applied, "short", on_newest(SERVICE), "No data"),
        number("Held", held, "short", number_of("sum", "chaosapi_held_requests"), "No data"),
        number(
            "Store",
            store,
            "bool_on_off",
            number_of("min", "chaosapi_store_up"),
            "No data",
            runbook="StoreDown",
        ).thresholds(steps((None, RED), (1, GREEN))),
    ]


def _faults() -> list[Panel]:
    strength = course(
        "Strength",
        "How strong each fault is by its schedule, from 0 to 1: the shape that was asked for. It scales the rate, or"
        " with `scales: magnitude` the delay or load itself. At 0 the fault exists, but does nothing.",
        "percentunit",
        (SERVICE.now("max", "chaosapi_fault_strength", "fault", "effect"), "{{fault}} ({{effect}})"),
        empty=NO_FAULT,
    )
    achieved = course(
        "Requested and achieved rate",
        "The share of matching requests that was to be hit, rate × strength, and the share that was. The two agree the"
        " closer the more requests there are; less achieved means that injections were skipped. Effects on the process"
        " match no requests.",
        "percentunit",
        (_of_matched("expected"), "{{fault}} ({{effect}}) requested"),
        (_of_matched("injected"), "{{fault}} ({{effect}}) achieved"),
        empty=NO_FAULT,
    )
    injected = course(
        "Injections",
        "Requests hit per second, by fault. Rate times matching traffic: it grows with the traffic at the same rate,"
        " and it is 0 for a fault whose target nobody asks for.",
        "reqps",
        (SERVICE.rate("chaosapi_fault_injected_total", "fault", "effect"), "{{fault}} ({{effect}})"),
        empty=NO_FAULT,
    )
    skipped = course(
        "Skipped",
        "Requests that should have been hit but were let off, and why. `preempted`: an older fault answered first."
        " `max_held`: too many requests are held already. `ended`: the fault was over before it could act."
        " `app_answered`: the app's own middleware answered first. `no_body`, `empty_body`, `short_body`: there was no"
        " body to damage, or too little. `unfinished`: the response broke off before."
        " `no_connection`: the server gives no access to it. `denied`: settings of the replica"
        " forbid it. `overlap`: another pause stood in the way."
        " `failed`: an effect on the process broke off.",
        "reqps",
        (SERVICE.rate("chaosapi_fault_skipped_total", "fault", "reason"), "{{fault}}: {{reason}}"),
        empty="None skipped",
    )
    delay = course(
        "Planned and measured delay",
        "The mean delay that each fault meant to add, and the one that the clock saw. Measured above planned: the event"
        " loop is late. Below: clients left, or the fault ended, before the delay was over. Percentiles are in the"
        " fault's receipt.",
        "s",
        (_mean_delay(), "{{fault}} {{kind}}"),
        empty="No delays",
    )
    return [strength.max(1), achieved.max(1), *across(8, [injected, delay, stacked(skipped)])]


def _of_matched(count: str) -> str:
    return SERVICE.share(f"chaosapi_fault_{count}_total", "chaosapi_fault_matched_total", "fault", "effect")


def _mean_delay() -> str:
    return SERVICE.share("chaosapi_fault_delay_seconds_total", "chaosapi_fault_delays_total", "fault", "kind")


def _users() -> list[Panel]:
    statuses = course(
        "Requests by status",
        "What the faults do to users: errors as 5xx, resets and truncated answers as 000. Compare with the injections:"
        " more failures than injections means that the service fails by itself as well.",
        "reqps",
        (f"{SERVED.rate('status')} > 0", "{{status}}"),
    )
    success = course(
        "Success rate by route",
        "The share of requests answered without a 5xx; no answer (000) is a failure too. Routes that no"
        " fault means should stay at 100 %: if they fall too, the trouble spreads, by saturation or through a"
        " dependency.",
        "percentunit",
        (SERVED.share(ANSWERED, "handler"), "{{handler}}"),
        order=LOWEST_FIRST,
    )
    slowest = course(
        "p99 latency by route",
        "What one request in a hundred waits at least. Injected delays show here as planned, unless the client or a"
        " time-out gave up before. Fast errors pull it down.",
        "s",
        (SERVED.quantile(0.99, "handler"), "{{handler}}"),
        runbook="HighLatency",
    )
    alerts = states(
        "Alerts",
        "Every alert that fires, of any SLO, from its first to its last evaluation. Compare with the regions above: the"
        " time from a fault's start to its alert is the detection time, from its end to the alert's the reset time.",
        {1: ("firing", RED)},
        (firing("alertname", "slo", "severity"), "{{alertname}} {{slo}} {{severity}}"),
        empty="No alert has fired",
    )
    return [*across(8, [by_status(statuses), success.axis_soft_min(0.99).max(1), slowest]), alerts.span(24)]


def _inside() -> list[Panel]:
    held = course(
        "Held requests",
        "Requests that faults delay or hang. Arrivals per second times the delay; a hang only adds to it. They fill"
        " connections and memory like any slow request.",
        "short",
        (SERVICE.now("sum", "chaosapi_held_requests", "instance"), "{{instance}}"),
        empty="No data",
    )
    lag = course(
        "Event-loop lag",
        "How late the event loop gets to its work, at worst in the last seconds. `pause` and `cpu` show here; any other"
        " fault should not: if it does, the injection itself costs too much.",
        "s",
        (SERVICE.now("max", "chaosapi_event_loop_lag_seconds", "instance"), "{{instance}}"),
        empty="No data",
        runbook="EventLoopLag",
    )
    capacity = course(
        "Capacity: in use and queued",
        "How many requests a `capacity` fault serves at once, and how many wait. In use at its limit with a growing"
        " queue is saturation: latency grows first, refusals follow once the queue is full.",
        "short",
        (SERVICE.now("sum", "chaosapi_capacity_in_use", "fault"), "{{fault}} in use"),
        (SERVICE.now("sum", "chaosapi_capacity_queued", "fault"), "{{fault}} queued"),
        empty="No capacity fault",
        runbook="CapacityExhausted",
    )
    refused = course(
        "Capacity: refused",
        "Requests that a `capacity` fault refused with 503, because the queue was full or the wait too long. Clients"
        " that try again at once keep this up after the spike is over: a metastable failure.",
        "reqps",
        (SERVICE.rate("chaosapi_capacity_rejected_total", "fault"), "{{fault}}"),
        empty="No capacity fault",
        runbook="CapacityExhausted",
    )
    return [held, lag, capacity, refused]
