"""Authorization of requests to /admin and /hooks: a token or a loopback peer, and no cross-site request."""

import re
import secrets
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import peers
from chaosapi.api import problems
from chaosapi.errors import BadRequest, ChaosError, Forbidden, Unauthorized
from chaosapi.frameworks import route_path
from chaosapi.routes import PROBES
from chaosapi.settings import Settings

OPEN: Final = {"/admin/docs", "/admin/docs/oauth2-redirect", "/admin/openapi.json", "/metrics", *PROBES}
"""Paths that need no token. The API docs hold nothing that the source does not, and a browser cannot send a token with
them; scrapers and probes have no token."""
_STATIC: Final = re.compile(r"/admin/static/[\w.-]{1,100}", re.ASCII)
"""Files of the API docs. The search for a file of a path of 4,000 directories takes 10 ms."""
_HEADERS: Final = {
    "content-security-policy": "frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
}
_REMEDY: Final = "set CHAOSAPI_ADMIN_TOKEN and send it as: Authorization: Bearer <token>"


class AccessGuard:
    """Pure ASGI middleware that authorizes each request to the control plane, except to the paths in OPEN.

    With a token configured, a request needs the token. Without one, the peer's address must be a loopback address:
    any client can forge a header. CHAOSAPI_ADMIN_OPEN admits every peer. Cross-site requests are always refused.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._token = settings.admin_token.get_secret_value() if settings.admin_token else None
        self._open = settings.admin_open
        self._hosts = settings.admin_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 400, 401 or 403."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        app = self.app
        path = route_path(scope)
        if path not in OPEN and not _STATIC.fullmatch(path):
            try:
                self._authorize(scope)
            except ChaosError as error:
                app = problems.of(error)
        await app(scope, receive, _add_security_headers(send))

    def _authorize(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if wrong := peers.wrong_host(headers.getlist("host")):
            raise BadRequest(wrong)
        host = headers.get("host", "")
        _refuse_cross_site(headers, host)
        if self._token is not None:
            self._check_token(headers.get("authorization", ""))
        elif self._open:
            self._check_host(host)
        else:
            _check_loopback(scope, headers, host)

    def _check_token(self, authorization: str) -> None:
        # The name of the scheme is case-insensitive (RFC 9110, 11.1).
        scheme, _, given = authorization.partition(" ")
        right = secrets.compare_digest(given.strip(" ").encode(), (self._token or "").encode())
        if scheme.lower() != "bearer" or not right:
            raise Unauthorized("send the token of CHAOSAPI_ADMIN_TOKEN as: Authorization: Bearer <token>")

    def _check_host(self, host: str) -> None:
        """Refuse a host name that an attacker's DNS may point at this address (DNS rebinding)."""
        name = peers.hostname(host)
        if name is None or not (peers.is_address(name) or peers.is_loopback(name) or name in self._hosts):
            raise Forbidden(
                f"without a token this answers to an IP address, a loopback name, or a name in CHAOSAPI_ADMIN_HOSTS, "
                f"not to {host!r}: name it there, or {_REMEDY}"
            )


def _add_security_headers(send: Send) -> Send:
    """Prevent clickjacking: another site must not show the API docs in a frame."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return send_with_headers


def _refuse_cross_site(headers: Headers, host: str) -> None:
    origin = headers.get("origin")
    if origin is not None and not peers.is_own_origin(origin, host):
        raise Forbidden(f"a page of {origin} may not use this API: no other origin may")
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        raise Forbidden("a page of another site may not use this API")


def _check_loopback(scope: Scope, headers: Headers, host: str) -> None:
    """Refuse a request that may come from another machine, directly or through a proxy."""
    if why := peers.remote_reason(scope.get("client"), headers.keys(), scope.get("http_version", "")):
        raise Forbidden(f"without a token this API answers to this machine alone, {why}: {_REMEDY}")
    name = peers.hostname(host)
    if name is None or not peers.is_loopback(name):
        # A page can point a name of its own at 127.0.0.1 (DNS rebinding); it cannot change the Host it sends.
        raise Forbidden(f"without a token this answers only to a loopback name, such as localhost, not to {host!r}")
