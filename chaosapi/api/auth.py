"""Authorization of requests to /admin and /hooks: a token or a loopback peer, and no cross-site request."""

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import peers
from chaosapi import scope as keys
from chaosapi.access import ISSUED, Grant, IssuedToken, Role, find_issued
from chaosapi.api import problems, roles
from chaosapi.errors import BadRequest, ChaosError, Forbidden, Unauthorized
from chaosapi.frameworks import route_path
from chaosapi.settings import Settings

_HEADERS: Final = {
    "content-security-policy": "frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
}
_REMEDY: Final = "set CHAOSAPI_ADMIN_TOKEN and send it as: Authorization: Bearer <token>"


class AccessGuard:
    """Pure ASGI middleware that authorizes each request to the control plane, except to public paths.

    With tokens configured, a request needs the token of a role that may use its route. Without any, the peer's address
    must be a loopback address: any client can forge a header. CHAOSAPI_ADMIN_OPEN admits every peer. Both make an
    instructor of a request that sends no issued token. Cross-site requests are always refused.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, issued: Callable[[], Sequence[IssuedToken]], clock: Callable[[], float]
    ) -> None:
        """`issued` returns the tokens that instructors have issued; `clock` returns Unix seconds."""
        self.app = app
        given = {
            Role.INSTRUCTOR: settings.admin_token,
            Role.OPERATOR: settings.operator_token,
            Role.OBSERVER: settings.observer_token,
        }
        self._tokens = {role: token.get_secret_value().encode() for role, token in given.items() if token}
        self._issued = issued
        self._clock = clock
        self._open = settings.admin_open
        self._hosts = settings.admin_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 400, 401 or 403."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        app = self.app
        role = roles.needed(scope["method"], route_path(scope))
        if role is not Role.PUBLIC:
            try:
                grant = self._authorize(scope)
                if grant.role < role:
                    raise Forbidden(f"this needs the role {role}, and the token is for the role {grant.role}")
                scope[keys.GRANT] = grant
            except ChaosError as error:
                app = problems.of(error)
        await app(scope, receive, _add_security_headers(send))

    def _authorize(self, scope: Scope) -> Grant:
        """Return the role of a request; raise a ChaosError where it has none."""
        headers = Headers(scope=scope)
        if wrong := peers.wrong_host(headers.getlist("host")):
            raise BadRequest(wrong)
        host = headers.get("host", "")
        _refuse_cross_site(headers, host)
        given = _bearer_token(headers.get("authorization", ""))
        if self._tokens or given.startswith(ISSUED):
            return self._recognize(given)
        if self._open:
            self._check_host(host)
        else:
            _check_loopback(scope, headers, host)
        return Grant(role=Role.INSTRUCTOR)

    def _recognize(self, given: str) -> Grant:
        """Return what a token grants; every token is compared, so that the time says nothing about any."""
        right = [role for role, token in self._tokens.items() if secrets.compare_digest(given.encode(), token)]
        if right:
            return Grant(role=right[0])
        if given.startswith(ISSUED):
            token = find_issued(self._issued(), given, self._clock())
            if token is None:
                raise Unauthorized("this token has expired or was revoked: ask an instructor for another")
            return Grant(role=Role.named(token.role), label=token.label or token.id)
        raise Unauthorized("send the token of CHAOSAPI_ADMIN_TOKEN as: Authorization: Bearer <token>")

    def _check_host(self, host: str) -> None:
        """Refuse a host name that an attacker's DNS may point at this address (DNS rebinding)."""
        name = peers.hostname(host)
        if name is None or not (peers.is_address(name) or peers.is_loopback(name) or name in self._hosts):
            raise Forbidden(
                f"without a token this answers to an IP address, a loopback name, or a name in CHAOSAPI_ADMIN_HOSTS, "
                f"not to {host!r}: name it there, or {_REMEDY}"
            )


def _bearer_token(authorization: str) -> str:
    """Return the token of a header; the name of the scheme is case-insensitive (RFC 9110, 11.1)."""
    scheme, _, given = authorization.partition(" ")
    return given.strip(" ") if scheme.lower() == "bearer" else ""


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
