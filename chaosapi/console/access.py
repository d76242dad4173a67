"""Access to the console: from this machine, or with its password; never from a page of another site."""

import asyncio
import hashlib
import math
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from cachetools import TTLCache
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi import peers
from chaosapi.console.bounds import BodyLimit
from chaosapi.console.headers import ASSETS, SecurityHeaders

COOKIE: Final = "chaosapi_console"
LOGIN: Final = "/login"
ENTER: Final = "/enter"
"""The welcome page leads here: a browser that sends the cookie is redirected to the console."""
PAGES: Final = {"Overview": "/", "Query": "/query"}
"""The paths of the console's pages by their names."""
_ICON: Final = "/favicon.ico"
_SESSION_TTL_S: Final = 12 * 3600
_ATTEMPTS_TTL_S: Final = 600
_MAX_ENTRIES: Final = 1000
"""Capacity of each cache: sessions without login, sessions with login, and peers with their attempts."""
_FREE_ATTEMPTS: Final = 10
"""Wrong passwords of a peer within `_ATTEMPTS_WINDOW_S` before its attempts are throttled."""
_ATTEMPTS_WINDOW_S: Final = 60.0
_THROTTLE_INTERVAL_S: Final = 0.5
_MAX_WAIT_S: Final = 10.0
"""A throttled attempt that would wait longer is refused."""

_WELCOME: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>chaosapi console</title>
<meta http-equiv="refresh" content="0;url=/enter?page={page}"><p>The console opens…</p></html>
"""
_NO_COOKIE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>chaosapi console</title>
<p>The console needs a cookie, and your browser sent none: allow cookies for this site, then
<a href="/">open the console again</a>.</p></html>
"""


@dataclass(eq=False)
class Session:
    """One browser: whether it has logged in, and the admin token that was entered there; kept in memory only."""

    entered: bool = False
    token: str | None = None


@dataclass
class _LoginAttempts:
    """The times of a peer's wrong passwords, and the earliest time of its next attempt."""

    wrong: list[float] = field(default_factory=list)
    next: float = -math.inf


class Sessions:
    """The sessions of the last twelve hours, and the password check.

    Sessions without a login or a token have a cache of their own, so that a flood of them evicts no other session.
    """

    def __init__(
        self,
        password: str | None,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.password = password
        self._clock = clock
        self._sleep = sleep
        self._new: TTLCache[str, Session] = TTLCache(_MAX_ENTRIES, _SESSION_TTL_S, clock)
        self._kept: TTLCache[str, Session] = TTLCache(_MAX_ENTRIES, _SESSION_TTL_S, clock)
        self._attempts: TTLCache[str, _LoginAttempts] = TTLCache(_MAX_ENTRIES, _ATTEMPTS_TTL_S, clock)

    def find(self, request: HTTPConnection) -> Session | None:
        """Return the session of the first known cookie, None without one."""
        return next(filter(None, map(self._known, _cookies(request))), None)

    def open(self, *, entered: bool) -> tuple[str, Session]:
        """Create a session; return the cookie's value and the session."""
        number = secrets.token_urlsafe(32)
        session = Session(entered)
        (self._kept if entered else self._new)[number] = session
        return number, session

    async def check_password(self, peer: str, password: str) -> bool | None:
        """Return whether the password is right; None if the peer has too many attempts waiting.

        After ten wrong passwords within a minute, further attempts of that peer are throttled: they are checked one
        every half second. A right password is still accepted, and other peers are not delayed.
        """
        attempts = self._attempts.setdefault(peer, _LoginAttempts())
        now = self._clock()
        attempts.wrong = [each for each in attempts.wrong if now - each < _ATTEMPTS_WINDOW_S]
        if len(attempts.wrong) >= _FREE_ATTEMPTS:
            turn = max(now, attempts.next)
            if turn - now > _MAX_WAIT_S:
                return None
            attempts.next = turn + _THROTTLE_INTERVAL_S
            await self._sleep(turn - now)
        if self.password and _equal_in_constant_time(password, self.password):
            return True
        attempts.wrong.append(self._clock())
        return False

    def _known(self, number: str) -> Session | None:
        session = self._kept.get(number) or self._new.get(number)
        if session and session.token and number in self._new:
            self._kept[number] = self._new.pop(number)
        return session


class AccessMiddleware:
    """Pure ASGI around the whole app, web sockets included; `admits` returns whether another page may be opened."""

    def __init__(self, app: ASGIApp, sessions: Sessions, admits: Callable[[], bool] = lambda: True) -> None:
        self._sessions = sessions
        self._admits = admits
        self._bounded = BodyLimit(app)
        self._hardened = SecurityHeaders(self._answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            await self._hardened(scope, receive, send)
        else:
            await self._bounded(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        session = self._sessions.find(request)
        if refusal := self._refusal(request, session):
            await _refuse(refusal, scope, receive, send)
        else:
            scope["session_of_console"] = session
            await self._bounded(scope, receive, send)

    def _refusal(self, request: HTTPConnection, session: Session | None) -> Response | None:
        """Return the response to a request that the app must not see, None for one that it may see."""
        if wrong := peers.wrong_host(request.headers.getlist("host")):
            return PlainTextResponse(wrong, 400)
        if problem := self._origin_problem(request):
            return PlainTextResponse(problem, 403)
        if request.scope["path"] == LOGIN:
            return None
        if session is None or (self._sessions.password and not session.entered):
            return self._login_response(request)
        return self._path_response(request)

    def _path_response(self, request: HTTPConnection) -> Response | None:
        """Return the response for paths other than the pages; NiceGUI would build a page for any path."""
        path = request.scope["path"]
        if path == ENTER:
            return RedirectResponse(_wanted_page(request), 303)
        if path not in PAGES.values() and not path.startswith((ASSETS, _ICON)):
            return PlainTextResponse("not found: the console is at /", 404)
        if path in PAGES.values() and not self._admits():
            return PlainTextResponse("too many pages of this console are open", 503, {"retry-after": "10"})
        return None

    def _login_response(self, request: HTTPConnection) -> Response:
        """Redirect to the login; without a password, set a cookie: a page is built only for browsers that return it."""
        if self._sessions.password or request.scope["type"] == "websocket":
            return RedirectResponse(LOGIN, 303)
        if request.scope["path"] not in PAGES.values():
            return HTMLResponse(_NO_COOKIE, 403)
        number, _ = self._sessions.open(entered=False)
        # Not a redirect: after a link from another site, a browser withholds SameSite=Strict cookies in redirects.
        welcome = _WELCOME.format(page=quote(f"{request.url.path}?{request.url.query}".rstrip("?"), safe=""))
        return HTMLResponse(welcome, headers={"set-cookie": cookie(request, number), "cache-control": "no-store"})

    def _origin_problem(self, request: HTTPConnection) -> str:
        headers = request.headers
        host = headers.get("host", "")
        origin = headers.get("origin")
        name = peers.hostname(host)
        if name is None:
            return f"{host!r} is not a host name"
        if origin is not None and not peers.is_own_origin(origin, host):
            return f"a page of {origin} may not use the console"
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and not _is_followed_link(request):
            return "a page of another site may not use the console"
        return "" if self._sessions.password else _remote_problem(request, name)


def _wanted_page(request: HTTPConnection) -> str:
    """Return the page to which the welcome page leads, with its query; never another site's."""
    wanted = request.query_params.get("page", "")
    path, _, query = wanted.partition("?")
    return wanted if path in PAGES.values() and query.isprintable() else PAGES["Overview"]


def _remote_problem(request: HTTPConnection, name: str) -> str:
    """Return why a request may come from another machine, "" if it cannot; `name` is the host name of its Host."""
    headers = request.headers
    if why := peers.remote_reason(request.scope.get("client"), headers.keys(), request.scope.get("http_version", "")):
        return f"without a password the console answers to this machine alone, {why}: set CHAOSAPI_CONSOLE_PASSWORD"
    # DNS rebinding: a page can point a name of its own at 127.0.0.1, but cannot change the Host that is sent.
    if not peers.is_loopback(name):
        return f"without a password the console answers only to a loopback name, such as localhost, not to {name!r}"
    return ""


def cookie(request: HTTPConnection, number: str) -> str:
    """Return the Set-Cookie value of a session: for this site only, and hidden from scripts."""
    return f"{_name(request)}={number}; Path=/; HttpOnly; SameSite=Strict"


def _name(request: HTTPConnection) -> str:
    """Return the cookie's name with the port, since all ports of a host share its cookies."""
    _, port = request.scope.get("server") or ("", None)
    return f"{COOKIE}_{port}" if port else COOKIE


def _cookies(request: HTTPConnection) -> Iterator[str]:
    """Yield every value of the console's cookie; cookies of other servers on this host may be malformed."""
    name = _name(request)
    for header in request.headers.getlist("cookie"):
        for part in header.split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                yield value


def _is_followed_link(request: HTTPConnection) -> bool:
    headers: Headers = request.headers
    whole = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return whole and request.scope.get("method") == "GET"


def _equal_in_constant_time(given: str, right: str) -> bool:
    """Compare in a time that reveals neither the length of the password nor how much of it is right."""
    given_hash, right_hash = (hashlib.sha256(each.encode(errors="replace")).digest() for each in (given, right))
    return secrets.compare_digest(given_hash, right_hash)


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
    else:
        await response(scope, receive, send)
