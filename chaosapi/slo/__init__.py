"""From one SLO file to Prometheus rules, their tests, and the times at which its alerts fire.

spec        what is promised: Sloth's files, plain or for Kubernetes
windows     how burn is watched: profiles of window pairs
theory      when a pair fires and resets: closed formulas
guards      what cannot work, or surprises, although it can be read; `lint` gives it by line and field
explain     what each alert will do, in numbers and sentences
rules       spec and profile → recording rules and alerts; `kubernetes` wraps them into an object
promtool    the same → unit tests that hold the rules to the theory
"""
