"""What runs next to the requests: servers, lifespan, process effects, guards, heartbeats, workers, the kill switch."""
