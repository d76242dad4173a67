"""The keys of the ASGI scope with which chaosapi's outer middlewares pass values to inner ones."""

from typing import Final

REQUEST_ID: Final = "chaosapi.request_id"
"""The request id, which is the key of the dice."""
HANDLER: Final = "chaosapi.handler"
"""The template of the request's route; absent for exempt paths, so that faults and metrics ignore them."""
SERVER: Final = "chaosapi.server"
"""A weak reference to the server's object that `send` is a method of; effects reach the connection through it."""
INNER: Final = "chaosapi.inner"
"""The place inside the app at which an effect acts, and the function that injects it: see chaosapi/inner.py."""
