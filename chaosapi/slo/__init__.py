"""From one SLO file to Prometheus rules, their tests, and the times at which its alerts fire.

spec      what is promised: a Sloth `prometheus/v1` file
windows   how burn is watched: profiles of window pairs, and when they cannot work
theory    when a pair fires and resets: closed formulas
rules     spec and profile → recording rules and alerts
promtool  the same → unit tests that hold the rules to the theory
"""
