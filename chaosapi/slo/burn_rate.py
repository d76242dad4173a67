"""When a burn-rate alert fires and resets: closed formulas, all times in seconds, all ratios from 0 to 1.

Letters as in the SRE Workbook (https://sre.google/workbook/alerting-on-slos/): B error budget ratio (1 - SLO),
e error ratio, F burn-rate factor of the pair, L and S long and short window, P period of the SLO.
The formulas assume even traffic and a constant e. Scrape, evaluation, `for` and group_wait come on top: each adds up to
one interval.
"""

import math


def burn(error_ratio: float, budget: float) -> float:
    """Return the burn rate e/B: 1 spends the budget in exactly one period."""
    return error_ratio / budget


def factor(spent: float, long: float, period: float) -> float:
    """Return F, the burn rate that spends the share `spent` of the budget within the long window: F = spent·P/L."""
    return spent * period / long


def spent(factor: float, long: float, period: float) -> float:
    """Return the share of the budget that is spent when the pair fires: F·L/P."""
    return factor * long / period


def exhaustion(burn: float, period: float) -> float:
    """Return the seconds in which a full budget is spent at this burn rate: P/burn; endless at burn 0."""
    return period / burn if burn else math.inf


def detection(*, error_ratio: float, budget: float, factor: float, long: float, history: float = math.inf) -> float:
    """Return the seconds from the first bad request until the pair's condition holds; `inf` for never.

    With healthy traffic all through the long window: F·B·L/e. With only h = `history` seconds of healthy
    traffic before the fault the window is diluted less, and detection takes h·F·B/(e - F·B): at most as long, and 0
    without history. The short window always trips earlier. (Derived from e·t/min(L, h + t) = F·B.)
    """
    threshold = factor * budget
    if error_ratio <= threshold:
        return math.inf
    whole = threshold * long / error_ratio
    return min(whole, history * threshold / (error_ratio - threshold))


def reset(*, error_ratio: float, budget: float, factor: float, short: float) -> float:
    """Return the seconds from the last bad request until a firing pair resets: S·(1 - F·B/e).

    By then the short window holds too few errors; the long window resets later, because L > S. The formula holds
    for every constant fault that lasts long enough to fire.
    """
    return short * (1 - factor * budget / error_ratio)


def fewest_requests(factor: float, budget: float) -> float:
    """Return 1/(F·B): with fewer requests in a window, one failure alone is over the threshold (69 at 14.4, 99.9 %)."""
    return 1 / (factor * budget)
