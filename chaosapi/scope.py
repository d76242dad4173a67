"""The keys under which our ASGI layers leave something in the scope for those further in."""

from typing import Final

REQUEST_ID: Final = "chaosapi.request_id"
"""The request's id, on which the dice are rolled."""
HANDLER: Final = "chaosapi.handler"
"""The template of the request's route; exempt paths have none, so neither faults nor metrics ever see them."""
SERVER: Final = "chaosapi.server"
"""The server's own object behind `send`, which leads to the connection that effects may break."""
EXCEPTION: Final = "chaosapi.exception"
"""The text of the exception that a fault wants raised inside the app."""
