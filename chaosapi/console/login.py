"""The login page of the console."""

from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from chaosapi.console.access import LOGIN, Sessions, cookie

_MAX_FORM_BYTES: Final = 10_000
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>chaosapi console</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 20rem; margin: 20vh auto; padding: 0 1rem }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin: .3rem 0 }}
</style>
<h1>chaosapi</h1>
<form method="post"><label>Password of this console
<input type="password" name="password" autocomplete="current-password" autofocus required></label>
<button>Log in</button><p role="alert">{trouble}</p></form>
</html>
"""


def router(sessions: Sessions) -> APIRouter:
    """Return the routes of the login form; without a password, every login fails."""
    api = APIRouter(include_in_schema=False)

    @api.get(LOGIN)
    async def form() -> HTMLResponse:
        return HTMLResponse(_PAGE.format(trouble=""))

    @api.post(LOGIN)
    async def log_in(request: Request) -> Response:
        sent = b""
        async for chunk in request.stream():
            sent += chunk
            if len(sent) > _MAX_FORM_BYTES:
                return HTMLResponse(_PAGE.format(trouble="The form is too large."), 413)
        password = parse_qs(sent.decode(errors="replace")).get("password", [""])[0]
        peer = request.client.host if request.client else ""
        right = await sessions.check_password(peer, password)
        if right is None:
            page = _PAGE.format(trouble="Too many attempts: try again in some seconds.")
            return HTMLResponse(page, 429, {"retry-after": "10"})
        if not right:
            return HTMLResponse(_PAGE.format(trouble="Wrong password."), 401)
        number, _ = sessions.open(entered=True)
        return RedirectResponse("/", 303, headers={"set-cookie": cookie(request, number)})

    return api
