"""Who may use /admin and /hooks: holders of the token, this machine, and never another site's page in a browser."""

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.api import problems
from chaosapi.errors import ChaosError, Forbidden, Unauthorized
from chaosapi.settings import Settings, is_loopback

GUARDED = ("/admin", "/hooks")
OPEN = ("/admin/docs", "/admin/openapi.json", "/admin/static")
"""Descriptions tell nothing that is not in the source, and a browser cannot send a token to see them."""


class AccessGuard:
    """Pure ASGI, in front of the routes, so that nothing under the guarded paths is forgotten."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._token = settings.admin_token.get_secret_value() if settings.admin_token else None
        self._open = settings.admin_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 403."""
        if scope["type"] == "http" and scope["path"].startswith(GUARDED) and not scope["path"].startswith(OPEN):
            try:
                self._check(Headers(scope=scope))
            except ChaosError as error:
                await problems.of(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Forbidden(f"a page of {origin} may not use this API: no other origin may")
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            raise Forbidden("a page of another site may not use this API")
        if self._token is not None:
            given = headers.get("authorization", "")
            if not secrets.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                raise Unauthorized("send the token of CHAOSAPI_ADMIN_TOKEN as: Authorization: Bearer <token>")
        elif not self._open and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            # A page can point a name of its own at 127.0.0.1 (DNS rebinding); it cannot change the Host it sends.
            raise Forbidden(f"without a token this answers only to a loopback name, such as localhost, not to {host!r}")
