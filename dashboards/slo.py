"""The SLOs: how much error budget is left, how fast it goes, and how near each alert is."""

import runbooks
from board import JOB, Board, variable
from grafana_foundation_sdk.builders.common import ScaleDistributionConfig
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import ScaleDistribution
from panels import CLEAR, GREEN, ORANGE, PLAIN, RED, Panel, colored, course, number, objective, states, steps
from status import status

from chaosapi.promql import Job, Slo
from chaosapi.slo import windows

CHOSEN = Slo("$slo")
ALL = Slo(".+")
PROFILES = [windows.load(name) for name in windows.NAMES]

TIMES = "suffix:×"
_PAGE = 1
_TICKET = 2
_WINDOW_COLORS = ("#C0D8FF", "#8AB8FF", "#5794F2", "#3274D9", "#6ED0E0", "#B7A369", "#FADE2A", "#9FA7B3")
"""From the shortest window to the longest."""
_PAIR_COLORS = ("#F2495C", "#FFA6B0", "#FF9830", "#FFCB7D")
"""From the fastest pair to the slowest: pages in reds, tickets in oranges."""
_NEVER = -1  # seconds until the budget is spent, where nothing burns
CHOICE = variable("slo", "SLO", "label_values(slo:objective:ratio, sloth_id)")


def slo(span: str = "15m", refresh: str = "5s") -> model.Dashboard:
    """Return the dashboard of one SLO, in any profile of windows."""
    return Board(
        runbooks.BOARD,
        "SLO and error budget",
        "What is left of an SLO's error budget, how fast it goes, and how near each alert is.",
        variables=[JOB, CHOICE],
        top=[*status(Job("$job", "$__rate_interval")), *_now()],
        rows={"Burning": [_burn(), _nearness()], "Budget": [_budget(), _alerts()]},
        folded={"Runbooks": runbooks.panels()},
        span=span,
        refresh=refresh,
    ).build()


def _now() -> list[Panel]:
    left = "Share of the period's error budget that is left. Below zero the promise of this period is broken."
    pace = "How many times faster than it may the budget goes, over the shortest window. 1 spends it in one period."
    end = "Until the budget is spent, if errors go on as in the shortest window. Nothing burns: no end in sight."
    factors = [pair.factor for pair in PROFILES[0].pairs]
    hot = steps((None, GREEN), (min(factors), ORANGE), (max(factors), RED))
    pages = "Window pairs of this SLO whose alert fires now. Pages mean now, tickets this week."
    gone = f"{CHOSEN.exhaustion()} or {_NEVER} + 0 * {CHOSEN.burn_now()}"
    promised = "The share of good events that is promised."
    kept = "The share of good events in the period so far."
    return [
        number("Objective", promised, "percentunit", _one(CHOSEN.recorded("objective:ratio"))).decimals(2),
        number("Achieved", kept, "percentunit", _one(CHOSEN.achieved())).decimals(3),
        number("Budget left", left, "percentunit", _one(CHOSEN.budget_left()))
        .thresholds(steps((None, RED), (0, ORANGE), (0.25, PLAIN)))
        .decimals(1),
        number("Burn rate", pace, TIMES, _one(CHOSEN.burn_now())).thresholds(hot).decimals(1),
        number("Gone in", end, "s", _one(gone), words={_NEVER: ("Not burning", GREEN)}).thresholds(
            steps((None, RED), (3600, ORANGE), (86400, GREEN))
        ),
        number("Window pairs firing", pages, "short", f"count({CHOSEN.firing()}) or vector(0)").thresholds(
            steps((None, PLAIN), (1, RED))
        ),
    ]


def _one(expr: str) -> str:
    """Return the query of one SLO without its labels, as a number needs it."""
    return f"max({expr})"


def _burn() -> Panel:
    panel = course(
        "Burn rate by window",
        "How many times faster than it may the budget goes, over every window of the alerts. Short windows jump first"
        " and fall first; long ones show what it has cost. The lines are the limits of the window pairs: 14.4 and 6"
        " page, 3 and 1 make tickets, once both windows of a pair are above its limit.",
        TIMES,
        (CHOSEN.burn(), "{{sloth_window}}"),
    )
    for profile in PROFILES:
        every = sorted({*profile.windows, profile.period})
        colored(panel, dict(zip(map(windows.format_window, every), _WINDOW_COLORS, strict=True)))
    limits = sorted((pair.factor, RED if pair.severity == "page" else ORANGE) for pair in PROFILES[0].pairs)
    logarithmic = ScaleDistributionConfig().type(ScaleDistribution.SYMLOG).log(2).linear_threshold(1)
    return objective(panel, (None, CLEAR), *limits).axis_soft_max(limits[-1][0]).scale_distribution(logarithmic)


def _nearness() -> Panel:
    panel = course(
        "How near each alert is",
        "For each window pair, the lower of its two burn rates over its limit: at 100 % both are above it, and the"
        " alert fires. A pair whose long window is hot and short one cold stays below: the trouble is over. Which line"
        " gets there first tells fast trouble from slow. The axis ends at 200 %.",
        "percentunit",
        *(_pair(place) for place in range(len(PROFILES[0].pairs))),
        runbook="ErrorBudgetBurn",
    )
    names = [_pair(place)[1] for place in range(len(PROFILES[0].pairs))]
    colored(panel, dict(zip(names, _PAIR_COLORS, strict=True)))
    return objective(panel, (None, CLEAR), (1, RED)).axis_soft_max(1).max(2)


def _pair(place: int) -> tuple[str, str]:
    """Return the query of the pair at this place in every profile: only one profile's windows are recorded."""
    pairs = [profile.pairs[place] for profile in PROFILES]
    names = dict.fromkeys(windows.format_window(window) for pair in pairs for window in (pair.long, pair.short))
    return CHOSEN.nearness(names, pairs[0].factor), f"{pairs[0].severity} at {pairs[0].factor:g}×"


def _band(place: int) -> tuple[str, str]:
    """Return the query of the alert of the pair at this place in every profile: bands stand in the order of queries."""
    longs = "|".join(windows.format_window(profile.pairs[place].long) for profile in PROFILES)
    value = _PAGE if PROFILES[0].pairs[place].severity == "page" else _TICKET
    firing = CHOSEN.firing(where=f'long_window=~"{longs}"')
    return f"{value} * {firing}", "{{severity}} {{long_window}}/{{short_window}}"


def _budget() -> Panel:
    panel = course(
        "Error budget left, all SLOs",
        "What remains of each budget. It falls with every bad event and comes back as old ones leave the period. Below"
        " the line the promise is broken. A cliff is an outage, a steady slope a slow burn that no page will tell.",
        "percentunit",
        (ALL.budget_left(), "{{sloth_id}}"),
    )
    return objective(panel, (None, RED), (0, CLEAR)).max(1)


def _alerts() -> Panel:
    return states(
        "Alerts",
        "When each window pair's alert fired, and for how long. Short pairs come first and go first; a ticket without a"
        " page is a slow burn. A page silences its SLO's tickets in Alertmanager: here they still show.",
        {_PAGE: ("page", RED), _TICKET: ("ticket", ORANGE)},
        *(_band(place) for place in range(len(PROFILES[0].pairs))),
        empty="No alert has fired",
        runbook="ErrorBudgetBurn",
    )
