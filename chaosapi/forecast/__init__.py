"""Predict which alerts a fault will fire, and when: a model of Prometheus, Alertmanager and the requests they see.

traffic        requests per second by route over time; scenarios reads those of Locust, by locust_scenarios
past           what Prometheus recorded before the faults, which the forecast continues
coverage       which SLOs and faults get any request; the others are refused
monitoring     scrape and evaluation intervals, retention, group_wait and group_interval
presence       on which replicas, and so on which requests, a fault acts: its condition and its target
exposure       the share of requests that each fault hits over time, and its strength
latency        the probability that a delayed answer meets a limit
outcome        how requests end under several faults, by status
indicator      which of the service's counters an SLI reads
counters       the expected counts at every scrape
promql         rate(), extrapolated as Prometheus does
burn           the burn rates that the recording rules write
chance         random runs: how often an alert flaps, and how early or late it may fire
episodes       pending, firing and resolved; notifications adds Alertmanager
model          faults, traffic and monitoring together
timetable      the forecast: alerts and budgets in order of time; result is its form
inverse        the rate or duration that fires a given alert or spends a given budget
chart          the forecast as an HTML page
identity       the labels that identify an alert, in forecasts and in records
arrays         the type of numbers over time

recording      what a real Prometheus recorded, as counters and episodes
matching       pairs of predicted and recorded episodes
backtest       the model applied to recorded counters; comparison is its form
replay         the faults as they really acted, on one clock
observed       what Prometheus recorded and Alertmanager sent about an alert
bounds         the earliest and latest times that chance allows for an alert
score          forecast and fact of a fault; scorecard is its form
"""
