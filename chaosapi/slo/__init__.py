"""Turn one SLO file into Prometheus rules, their tests, and the times at which its alerts fire.

spec          Sloth's files, plain or as Kubernetes objects
windows       profiles: the window pairs that watch the burn rate
burn_rate     closed formulas for when a pair fires and resets
feasibility   windows and objectives that cannot work, or surprise; `lint` lists them by line and field
explain       what each alert will do, in numbers and sentences
rules         spec and profile → recording rules and alerts; `kubernetes` wraps them into an object
promtool      the same → unit tests that hold the rules to the formulas
"""
