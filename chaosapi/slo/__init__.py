"""Turn one SLO file into Prometheus rules, their tests, and the times at which its alerts fire.

spec          Sloth's files, plain or as Kubernetes objects; `document` reads the YAML, with the line of every mistake
promql        checks of queries; `result_labels` finds vectors that never match, `events` what an event increments
windows       profiles: the window pairs that watch the burn rate
burn_rate     closed formulas for when a pair fires and resets
feasibility   windows and objectives that cannot work, or surprise; `lint` lists them by line and field
explain       what each alert will do, in numbers and sentences
rules         spec and profile → recording rules; `burn_alerts` and `cause_alerts` add alerts, `annotations` their texts
promtool      the same → unit tests that hold the rules to the formulas; `promtool_cases` has their input series
files         the generated files; `kubernetes` wraps rules into an object of the Prometheus operator
"""
