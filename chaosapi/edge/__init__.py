"""What stands in front of the app, as a load balancer or a gateway does: limits, shedding, and a queue."""
