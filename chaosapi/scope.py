"""The keys of the ASGI scope with which chaosapi's outer middlewares pass values to inner ones."""

from typing import Final

REQUEST_ID: Final = "chaosapi.request_id"
"""The request id, which is the key of the dice."""
HANDLER: Final = "chaosapi.handler"
"""The template of the request's route; absent for exempt paths, so that faults and metrics ignore them."""
SEND: Final = "chaosapi.send"
"""The server's own `send`, through which effects reach the connection; the fault middleware takes it away.

The server's object of the request holds the scope: left there, it would be a reference cycle.
"""
GRANT: Final = "chaosapi.grant"
"""What a request to the control plane was recognized as."""
INNER: Final = "chaosapi.inner"
"""The place inside the app at which an effect acts, and the function that injects it: see chaosapi/inner.py."""
