"""Metrics and log lines of requests and of faults."""
