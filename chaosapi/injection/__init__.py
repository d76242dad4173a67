"""The hot path: which faults meet a request, and what an effect may do to it."""
