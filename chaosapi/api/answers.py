"""How large answers are written: outside the event loop, so that nobody else waits for it."""

from fastapi import Response
from pydantic import BaseModel


def written(answer: BaseModel) -> Response:
    """Write an answer as JSON; call it in a thread. FastAPI would write it in the event loop."""
    return Response(answer.model_dump_json(by_alias=True).encode(), media_type="application/json")
