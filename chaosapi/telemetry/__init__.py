"""What users got and what faults did, as metrics and log lines."""
