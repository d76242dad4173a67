"""The golden signals of the shop: traffic, errors, latency, saturation (Google SRE Book, chapter 6), by route."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models import dashboard as model
from panels import GREEN, ORANGE, PROMETHEUS, RED, course, number, objective, stacked, steps, thirds
from queries import ANSWERED, FAILED, in_progress, mean, of_service, quantile, rate, share

# The objectives of alerts/slo.yaml, each a line in its panel: ratios, and seconds.
AVAILABILITY = 0.999
ERROR_BUDGET = 0.001
LATENCY = 0.25


def golden_signals() -> model.Dashboard:
    """Return the dashboard: six numbers, then a row for each signal, with faults as a toggled annotation."""
    board = (
        build.Dashboard("Golden signals")
        .uid("chaosapi-golden-signals")
        .description("Traffic, errors, latency and saturation of the shop, by route.")
        .tags(["chaosapi", "slo"])
        .timezone("browser")
        .time("now-15m", "now")
        .refresh("5s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
    )
    for variable in _variables():
        board.with_variable(variable)
    for figure in _now():
        board.with_panel(figure)
    for title, panels in _signals().items():
        board.with_row(build.Row(title))
        for panel in panels:
            board.with_panel(panel)
    finished = board.build()
    for number_on_board, item in enumerate(finished.panels or [], start=1):
        item.id_val = number_on_board
    finished.annotations = model.AnnotationContainer(list_val=[FaultWindows()])
    return finished


class FaultWindows(model.AnnotationQuery):
    """A region for as long as a fault acts; Grafana's toggle at the top hides it from those who are to find out."""

    def __init__(self) -> None:
        super().__init__(name="Faults", datasource=PROMETHEUS, enable=True, hide=False, icon_color=RED)
        self.expr = 'chaosapi_fault_strength{job="$job"} > 0'

    def to_json(self) -> dict[str, object]:
        """Return the JSON, with the fields of Grafana's Prometheus annotations that the SDK does not know."""
        return {
            **super().to_json(),
            "step": "1s",
            "target": {"expr": self.expr, "interval": "1s", "refId": "Anno"},
            "titleFormat": "{{fault}}",
            "textFormat": "{{effect}} fault",
            "tagKeys": "fault,effect",
        }


def _variables() -> list[build.DatasourceVariable | build.QueryVariable]:
    return [
        build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        build.QueryVariable("job")
        .label("Service")
        .datasource(PROMETHEUS)
        .query("label_values(chaosapi_build_info, job)")
        .refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(model.VariableSort.ALPHABETICAL_ASC),
        build.QueryVariable("handler")
        .label("Route")
        .datasource(PROMETHEUS)
        .query('label_values(http_requests_total{job="$job"}, handler)')
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"])),
    ]


def _now() -> list[stat.Panel]:
    good_high = steps((None, RED), (0.99, ORANGE), (AVAILABILITY, GREEN))
    good_low = steps((None, GREEN), (ERROR_BUDGET, ORANGE), (0.01, RED))
    in_time = steps((None, GREEN), (LATENCY, RED))
    return [
        number("Requests", "Requests answered per second, now.", rate(), "reqps"),
        number("Success", "Share of requests answered without a server error, now.", share(ANSWERED), "percentunit")
        .thresholds(good_high)
        .decimals(2),
        number("5xx", "Share of requests answered with a 5xx status, now.", share(FAILED), "percentunit")
        .thresholds(good_low)
        .decimals(2),
        number("Average", "Mean time to answer, now. One slow request in a hundred hardly moves it.", mean(), "s"),
        number("p95", "19 of 20 requests are answered faster than this, now.", quantile(0.95), "s"),
        number("p99", "99 of 100 requests are answered faster than this, now.", quantile(0.99), "s").thresholds(
            in_time
        ),
    ]


def _signals() -> dict[str, list[timeseries.Panel]]:
    return {"Traffic": _traffic(), "Errors": _errors(), "Latency": _latency(), "Saturation": _saturation()}


def _traffic() -> list[timeseries.Panel]:
    return [
        course(
            "Requests by route",
            "How much is asked of the service. Look here first: a spike explains much that follows, and a sudden fall"
            " is an outage in front of the service, or clients that wait for slow answers.",
            rate("handler"),
            "reqps",
            "{{handler}}",
        ),
        stacked(
            course(
                "Requests by status",
                "What became of the requests. 5xx is the service's fault, 4xx mostly the client's; 000 was closed"
                " without an answer. Watch for a status that grows at the cost of another while the sum stays.",
                rate("status"),
                "reqps",
                "{{status}}",
            )
        ),
    ]


def _errors() -> list[timeseries.Panel]:
    success = course(
        "Success rate by route",
        "The availability SLI: the share of requests answered without a 5xx. The line is the objective, 99.9 %. One"
        " sick route hides in an average over all, so compare the routes.",
        share(ANSWERED, "handler"),
        "percentunit",
        "{{handler}}",
    )
    failures = course(
        "5xx rate by route",
        "The share of requests that failed. Above the line, 0.1 %, the error budget shrinks faster than it may: at ten"
        " times the line, 30 days of budget are gone in three. Compare with latency: errors are often fast.",
        share(FAILED, "handler"),
        "percentunit",
        "{{handler}}",
    )
    return [
        objective(success, (None, RED), (AVAILABILITY, GREEN)).axis_soft_min(0.99).max(1),
        objective(failures, (None, "transparent"), (ERROR_BUDGET, RED)),
    ]


def _latency() -> list[timeseries.Panel]:
    average = course(
        "Average latency by route",
        "The mean time to answer. It hides the slow tail, and it falls when requests fail fast: a better average during"
        " an error spike is no good news.",
        mean("handler"),
        "s",
        "{{handler}}",
    )
    p95 = course(
        "p95 latency by route",
        "One request in twenty is slower. Estimated from histogram buckets, so it is as exact as the buckets are"
        " narrow. Rising with traffic means a queue; rising without means a slow dependency, or a fault."
        " The line, 250 ms, is what 99 % of the requests should keep, so p95 should lie well below it.",
        quantile(0.95, "handler"),
        "s",
        "{{handler}}",
    )
    p99 = course(
        "p99 latency by route",
        "One request in a hundred is slower; who makes a hundred requests meets it. The latency objective says 99 %"
        " under 250 ms: above the line it is missed. With few requests, one slow one decides.",
        quantile(0.99, "handler"),
        "s",
        "{{handler}}",
    )
    limit = ((None, "transparent"), (LATENCY, RED))
    return thirds([average, objective(p95, *limit), objective(p99, *limit)])


def _saturation() -> list[timeseries.Panel]:
    return thirds(
        [
            course(
                "Requests in progress",
                "Requests that wait for their answer: arrivals per second times seconds each (Little's law). Growing at"
                " the same traffic, the service falls behind; it is the earliest sign of an overload.",
                in_progress("handler"),
                "short",
                "{{handler}}",
            ),
            course(
                "Event-loop lag",
                "How late the one thread that serves all requests gets to its work, at worst in the last seconds. Tens"
                " of milliseconds mean that something blocks it, and every request waits for that.",
                of_service("max", "chaosapi_event_loop_lag_seconds"),
                "s",
                "{{instance}}",
            ).no_value("No data"),
            course(
                "Requests held by faults",
                "Requests that a fault delays or hangs right now. They fill connections and memory like any slow"
                " request; past the cap, injections are skipped.",
                of_service("sum", "chaosapi_held_requests"),
                "short",
                "{{instance}}",
            ).no_value("No data"),
        ]
    )
