"""The PromQL of the golden signals; `by` names the labels that keep series apart, none gives one series."""

ROUTES = 'job="$job", handler=~"$handler"'
ANSWERED = 'status!~"5..|000"'  # 000 is a connection that was closed without an answer
FAILED = 'status=~"5.."'


def rate(*by: str, where: str = "") -> str:
    """Return requests per second."""
    return _sum(_per_second("http_requests_total", where), by)


def share(where: str, *by: str) -> str:
    """Return the ratio, 0 to 1, of requests with `where` among all; nothing without traffic, where 0/0 would be NaN."""
    return f"{rate(*by, where=where)} / ({rate(*by)} > 0)"


def mean(*by: str) -> str:
    """Return the mean time to answer, in seconds; nothing without traffic."""
    seconds = _sum(_per_second("http_request_duration_seconds_sum"), by)
    count = _sum(_per_second("http_request_duration_seconds_count"), by)
    return f"{seconds} / ({count} > 0)"


def quantile(ratio: float, *by: str) -> str:
    """Return the time, in seconds, within which `ratio` of the requests are answered, estimated from the buckets.

    Nothing without traffic, where histogram_quantile gives NaN.
    """
    buckets = _sum(_per_second("http_request_duration_seconds_bucket"), ("le", *by))
    return f"histogram_quantile({ratio}, {buckets}) >= 0"


def in_progress(*by: str) -> str:
    """Return how many requests are being answered."""
    return _sum(f"http_requests_inprogress{{{ROUTES}}}", by)


def of_service(aggregate: str, metric: str) -> str:
    """Return a gauge of the whole process, for each instance of the service."""
    return f'{aggregate} by (instance) ({metric}{{job="$job"}})'


def _per_second(counter: str, where: str = "") -> str:
    return f"rate({counter}{{{f'{ROUTES}, {where}' if where else ROUTES}}}[$__rate_interval])"


def _sum(series: str, by: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(by)}) ({series})" if by else f"sum({series})"
