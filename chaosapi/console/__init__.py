"""The control room in the browser: a client of the HTTP APIs of the service, Prometheus, Alertmanager and Locust."""
