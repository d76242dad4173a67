"""The PromQL that dashboards and the console ask, made by pure functions.

`by` names the labels that keep series apart; none gives one series. Jobs, routes and windows are put in as they are, so
Grafana's variables (`$job`, `$__rate_interval`) fit as well as real ones. Without traffic a ratio has no value: 0/0
would be NaN.
"""

from collections.abc import Iterable
from dataclasses import dataclass

ANSWERED = 'status!~"5..|000"'  # 000 is a connection that was closed without an answer
FAILED = 'status=~"5.."'


@dataclass(frozen=True)
class Job:
    """A scrape job, and the window over which its counters become rates."""

    name: str
    window: str = "1m"

    def now(self, aggregate: str, gauge: str, *by: str, where: str = "") -> str:
        """Return a gauge, put together by `aggregate`: sum, max, count."""
        return _aggregate(aggregate, self._series(gauge, where), by)

    def rate(self, counter: str, *by: str, where: str = "") -> str:
        """Return a counter's rise per second."""
        return _aggregate("sum", f"rate({self._series(counter, where)}[{self.window}])", by)

    def share(self, part: str, whole: str, *by: str, where: str = "") -> str:
        """Return the ratio of one counter's rise to another's; `where` holds for both."""
        return f"{self.rate(part, *by, where=where)} / ({self.rate(whole, *by, where=where)} > 0)"

    def _series(self, metric: str, where: str) -> str:
        return f'{metric}{{job="{self.name}"{", " if where else ""}{where}}}'


@dataclass(frozen=True)
class Requests:
    """Requests as one side counts them: the service (`http`) or the load test (`loadtest`), with the same labels.

    `handler` is a regular expression over route templates.
    """

    job: Job
    side: str = "http"
    handler: str = ".+"

    def rate(self, *by: str, where: str = "") -> str:
        """Return requests per second."""
        return self.job.rate(f"{self.side}_requests_total", *by, where=self._routes(where))

    def share(self, where: str, *by: str) -> str:
        """Return the ratio, 0 to 1, of requests with `where` among all."""
        return f"{self.rate(*by, where=where)} / ({self.rate(*by)} > 0)"

    def mean(self, *by: str) -> str:
        """Return the mean time to answer, in seconds."""
        return self.job.share(f"{self._duration}_sum", f"{self._duration}_count", *by, where=self._routes())

    def quantile(self, ratio: float, *by: str) -> str:
        """Return the time, in seconds, within which `ratio` of the requests are answered, read off the buckets."""
        buckets = self.job.rate(f"{self._duration}_bucket", "le", *by, where=self._routes())
        return f"histogram_quantile({ratio}, {buckets}) >= 0"

    def in_progress(self, *by: str) -> str:
        """Return how many requests the service is answering."""
        return self.job.now("sum", "http_requests_inprogress", *by, where=self._routes())

    @property
    def _duration(self) -> str:
        return f"{self.side}_request_duration_seconds"

    def _routes(self, where: str = "") -> str:
        return f'handler=~"{self.handler}"{", " if where else ""}{where}'


@dataclass(frozen=True)
class Slo:
    """What the recording rules say about the SLOs whose `sloth_id` the regular expression `ids` finds.

    Names and labels are Sloth's, so rules made by Sloth itself will do. Windows are read off the rules, whatever their
    profile.
    """

    ids: str

    def recorded(self, name: str) -> str:
        """Return a recorded number of each SLO: `objective:ratio`."""
        return f'max by (sloth_id) (slo:{name}{{sloth_id=~"{self.ids}"}})'

    def budget_left(self) -> str:
        """Return the share of the period's error budget that is left: 1 all of it, below 0 more than spent."""
        return self.recorded("period_error_budget_remaining:ratio")

    def achieved(self) -> str:
        """Return the share of good events in the whole period, to be compared with the objective."""
        return f"1 - {self.recorded('period_burn_rate:ratio')} * {self.recorded('error_budget:ratio')}"

    def burn_now(self) -> str:
        """Return the burn rate over the shortest window: 1 spends the budget in exactly the period."""
        return self.recorded("current_burn_rate:ratio")

    def burn(self) -> str:
        """Return the burn rate over every window that is recorded."""
        return self._budgets(f"max by (sloth_id, sloth_window) ({self._errors('.+')})")

    def nearness(self, windows: Iterable[str], factor: float) -> str:
        """Return how near an alert is that fires above 1: the lower burn rate of its windows, over its `factor`."""
        lower = f"min by (sloth_id) ({self._errors('|'.join(windows))})"
        return f"{self._budgets(lower)} / {factor:g}"

    def exhaustion(self) -> str:
        """Return the seconds until the budget is spent at the present burn rate; nothing while nothing burns."""
        period = f"{self.recorded('time_period:days')} * 86400"
        return f"clamp_min({self.budget_left()}, 0) / ({self.burn_now()} > 0) * {period}"

    def firing(self) -> str:
        """Return 1 for each window pair whose alert fires."""
        return firing("severity", "long_window", "short_window", where=f'sloth_id=~"{self.ids}"')

    def _errors(self, windows: str) -> str:
        return f'{{__name__=~"slo:sli_error:ratio_rate({windows})", sloth_id=~"{self.ids}"}}'

    def _budgets(self, errors: str) -> str:
        return f"{errors} / on (sloth_id) group_left () {self.recorded('error_budget:ratio')}"


def firing(*by: str, where: str = "") -> str:
    """Return 1 for each group of firing alerts."""
    return _aggregate("max", f'ALERTS{{alertstate="firing"{", " if where else ""}{where}}}', by)


def on_newest(job: Job) -> str:
    """Return how many replicas have applied the newest revision of the faults."""
    revision = f'chaosapi_revision{{job="{job.name}"}}'
    return f"count({revision} == on () group_left () max({revision}))"


def _aggregate(function: str, series: str, by: tuple[str, ...]) -> str:
    return f"{function} by ({', '.join(by)}) ({series})" if by else f"{function}({series})"
