"""Servers and background work: lifespan, process effects, guards, heartbeats, workers, the kill switch."""
