"""Clients of the HTTP APIs around a service; `chaosapi.clients.admin` is public."""
