"""The web console: a client of the HTTP APIs of the service, Prometheus, Alertmanager and Locust."""
