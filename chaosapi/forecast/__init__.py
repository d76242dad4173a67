"""Which alerts a fault will cause, and when: a model of what Prometheus and Alertmanager do with what users got.

traffic     how many requests arrive, where and when; scenarios reads Locust's
monitoring  how often and how far back Prometheus looks, and how patient Alertmanager is
acting      the faults over time: who is hit
delays      how likely a delayed answer is in time
outcome     what becomes of a request, counted by status
indicator   which of the service's counters an SLI reads
counters    the expected counts, at every scrape
promql      rate(), as Prometheus extrapolates it
burn        the burn rates that the recording rules write
episodes    pending, firing and resolved; notify adds Alertmanager
model       faults, traffic and Prometheus put together
timetable   all of it in order: the forecast; answer is its form
inverse     the fault that a given alert or budget takes
chart       the same as a page

recording   what a real Prometheus recorded, as counters and episodes
matching    which predicted episode is which recorded one
backtest    the model on recorded counters; comparison is its form
replay      faults as they really were, on one clock
facts       what Prometheus recorded and Alertmanager told of an alert
bounds      how early and late chance lets an alert be
score       forecast and fact of a fault; scorecard is its form
"""
