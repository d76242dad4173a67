"""A practice range for on-call."""
