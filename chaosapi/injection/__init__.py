"""The hot path: choose the faults that hit a request, and let their effects act."""
