"""The queries of public dashboards, by metric, label and join: users open other dashboards too.

Read off published dashboards and said anew; the point is that names, labels and label values are what they expect.
"""

SLOTH = {
    # https://grafana.com/grafana/dashboards/14348 and 14643, for one SLO and for all
    "SLOs that burn too fast": "slo:current_burn_rate:ratio > 1",
    "objective": 'slo:objective:ratio{sloth_service="shop", sloth_slo="availability"}',
    "burn rate now": 'slo:current_burn_rate:ratio{sloth_service="shop", sloth_slo="availability"} or on () vector(0)',
    "budget left": 'slo:period_error_budget_remaining:ratio{sloth_service="shop", sloth_slo="availability"}',
    "SLI": '1 - max(slo:sli_error:ratio_rate$window{sloth_service="shop", sloth_slo="availability"})',
    "ticket fires": 'max(ALERTS{sloth_service="shop", sloth_slo="availability", sloth_severity="ticket"})',
    "page fires": 'max(ALERTS{sloth_service="shop", sloth_slo="availability", sloth_severity="page"})',
    # The burn chart of a month sums hours over 32 days; here seconds over one minute, with the same joins.
    "burn chart": (
        '1 - sum_over_time((slo:sli_error:ratio_rate$window{sloth_service="shop", sloth_slo="availability"}'
        " * on () group_left () (month() == bool month()))[1m:1s])"
        ' / on (sloth_id) (slo:error_budget:ratio{sloth_service="shop", sloth_slo="availability"}'
        " * on () group_left () (24 * days_in_month()))"
    ),
    "what there is": "max(sloth_slo_info) by (sloth_id, sloth_service, sloth_slo, sloth_objective, sloth_spec)",
    "period": "max(slo:time_period:days) by (sloth_id)",
    "windows": 'count({__name__=~"^slo:sli_error:ratio_rate.*"}) by (__name__, sloth_id)',
}

FASTAPI = {
    # https://grafana.com/grafana/dashboards/22676, for prometheus-fastapi-instrumentator
    "requests in all": 'sum(http_requests_total{job="chaosapi", handler!="/metrics"})',
    "requests by route": 'sum by (method, handler, status) (increase(http_requests_total{job="chaosapi"}[1m]))',
    "requests per second": 'rate(http_requests_total{job="chaosapi", handler!="/metrics"}[1m])',
    "average": (
        'rate(http_request_duration_seconds_sum{job="chaosapi"}[1m])'
        ' / rate(http_request_duration_seconds_count{job="chaosapi"}[1m]) >= 0'
    ),
    "share of 2xx": (
        'sum by (handler) (http_requests_total{job="chaosapi", status=~"2.*"})'
        ' / sum by (handler) (http_requests_total{job="chaosapi"}) >= 0'
    ),
    "share of 5xx": 'sum(rate(http_requests_total{status=~"5..|5xx"}[1m])) / sum(rate(http_requests_total[1m]))',
    "p99": (
        "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket"
        '{job="chaosapi", handler!="none"}[1m])) by (handler, le)) >= 0'
    ),
    "in progress": 'sum by (method, handler) (http_requests_inprogress{job="chaosapi"})',
    "CPU": 'rate(process_cpu_seconds_total{job="chaosapi"}[1m])',
    "memory": 'process_resident_memory_bytes{job="chaosapi"}',
    "variable": 'count by (job, handler) (http_requests_total{handler!="none"})',
}
