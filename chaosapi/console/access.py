"""Who may use the console: people on this machine, or those who know its password; never another site's page."""

import asyncio
import hashlib
import math
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

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
"""Where a browser shows that it kept the cookie."""
_PAGE: Final = "/"
_ICON: Final = "/favicon.ico"
_HOURS: Final = 12
_MOST: Final = 1000
"""Sessions, and peers that guess, that are remembered."""
_FREE: Final = 10
"""Wrong passwords of a peer within a minute before its next ones have to wait."""
_WITHIN: Final = 60.0
_PACE: Final = 0.5
"""Seconds from one attempt of such a peer to the next."""
_LONGEST: Final = 10.0
"""Seconds that an attempt waits at most; what would wait longer is refused."""

_WELCOME: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>chaosapi console</title>
<meta http-equiv="refresh" content="0;url=/enter"><p>The console opens…</p></html>
"""
_NO_COOKIE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>chaosapi console</title>
<p>The console knows a browser by a cookie, and this one sent none: allow cookies for this site, then
<a href="/">open the console again</a>.</p></html>
"""


@dataclass(eq=False)
class Session:
    """One browser: whether it has logged in, and the admin token that was entered there; kept in memory alone."""

    entered: bool = False
    token: str | None = None


@dataclass
class _LoginAttempts:
    """A peer that sent wrong passwords: when it did, and when its next attempt is looked at."""

    wrong: list[float] = field(default_factory=list)
    next: float = -math.inf


class Sessions:
    """The browsers that came within the last twelve hours, and how the password is asked for.

    Browsers that hold nothing are remembered apart: however many come, none that has logged in is forgotten for them.
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
        self._new: TTLCache[str, Session] = TTLCache(_MOST, _HOURS * 3600, clock)
        self._kept: TTLCache[str, Session] = TTLCache(_MOST, _HOURS * 3600, clock)
        self._guessers: TTLCache[str, _LoginAttempts] = TTLCache(_MOST, 600, clock)

    def find(self, request: HTTPConnection) -> Session | None:
        """Return the session of a browser's cookie; whatever other cookies it sends are not looked at."""
        return next(filter(None, map(self._known, _cookies(request))), None)

    def open(self, *, entered: bool) -> tuple[str, Session]:
        """Make a session; returns the cookie's value too."""
        number = secrets.token_urlsafe(32)
        session = Session(entered)
        (self._kept if entered else self._new)[number] = session
        return number, session

    async def check_password(self, peer: str, password: str) -> bool | None:
        """Return whether the password is right; None where the peer has too many attempts waiting.

        After ten wrong ones within a minute further attempts of the peer take turns. Right ones are never refused
        for the wrong ones before them, and other peers wait for none of them.
        """
        guesser = self._guessers.setdefault(peer, _LoginAttempts())
        now = self._clock()
        guesser.wrong = [each for each in guesser.wrong if now - each < _WITHIN]
        if len(guesser.wrong) >= _FREE:
            turn = max(now, guesser.next)
            if turn - now > _LONGEST:
                return None
            guesser.next = turn + _PACE
            await self._sleep(turn - now)
        if self.password and _same(password, self.password):
            return True
        guesser.wrong.append(self._clock())
        return False

    def _known(self, number: str) -> Session | None:
        session = self._kept.get(number) or self._new.get(number)
        if session and session.token and number in self._new:
            self._kept[number] = self._new.pop(number)
        return session


class AccessMiddleware:
    """Pure ASGI, in front of everything, web sockets too; `admits` tells whether there is room for another page."""

    def __init__(self, app: ASGIApp, sessions: Sessions, admits: Callable[[], bool] = lambda: True) -> None:
        self._sessions = sessions
        self._admits = admits
        self._bounded = BodyLimit(app)
        self._hardened = SecurityHeaders(self._answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its session, or refuse it."""
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
        """Return what is answered instead of the page, nothing where it may be seen."""
        if wrong := peers.wrong_host(request.headers.getlist("host")):
            return PlainTextResponse(wrong, 400)
        if trouble := self._trouble(request):
            return PlainTextResponse(trouble, 403)
        if request.scope["path"] == LOGIN:
            return None
        if session is None or (self._sessions.password and not session.entered):
            return self._way_in(request)
        return self._instead(request.scope["path"])

    def _instead(self, path: str) -> Response | None:
        """Return what a browser with a session gets instead; NiceGUI would build a page for any path."""
        if path == ENTER:
            return RedirectResponse(_PAGE, 303)
        if path != _PAGE and not path.startswith((ASSETS, _ICON)):
            return PlainTextResponse("there is nothing here: the console is at /", 404)
        if path == _PAGE and not self._admits():
            return PlainTextResponse("too many pages of this console are open", 503, {"retry-after": "10"})
        return None

    def _way_in(self, request: HTTPConnection) -> Response:
        """Ask for the password; where there is none, hand out a cookie, since a page is built only for who keeps it."""
        if self._sessions.password or request.scope["type"] == "websocket":
            return RedirectResponse(LOGIN, 303)
        if request.scope["path"] != _PAGE:
            return HTMLResponse(_NO_COOKIE, 403)
        number, _ = self._sessions.open(entered=False)
        # Not a redirect: in one that another site's link began, the browser would not send the cookie.
        return HTMLResponse(_WELCOME, headers={"set-cookie": cookie(request, number), "cache-control": "no-store"})

    def _trouble(self, request: HTTPConnection) -> str:
        headers = request.headers
        host = headers.get("host", "")
        origin = headers.get("origin")
        name = peers.hostname(host)
        if name is None:
            return f"{host!r} is no host name"
        if origin is not None and not peers.is_own_origin(origin, host):
            return f"a page of {origin} may not use the console"
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and not _is_followed_link(request):
            return "a page of another site may not use the console"
        return "" if self._sessions.password else _stranger(request, name)


def _stranger(request: HTTPConnection, name: str) -> str:
    """Return why a request may not be of a person on this machine; `name` is that in its Host."""
    headers = request.headers
    if why := peers.remote_reason(request.scope.get("client"), headers.keys(), request.scope.get("http_version", "")):
        return f"without a password the console answers to this machine alone, {why}: set CHAOSAPI_CONSOLE_PASSWORD"
    # A page can point a name of its own at 127.0.0.1; it cannot change the Host that is sent.
    if not peers.is_loopback(name):
        return f"without a password the console answers only to a loopback name, such as localhost, not to {name!r}"
    return ""


def cookie(request: HTTPConnection, number: str) -> str:
    """Write the cookie of a session: for this site alone, and not for scripts."""
    return f"{_name(request)}={number}; Path=/; HttpOnly; SameSite=Strict"


def _name(request: HTTPConnection) -> str:
    """Name the cookie by the port: cookies of a host are for all its ports."""
    _, port = request.scope.get("server") or ("", None)
    return f"{COOKIE}_{port}" if port else COOKIE


def _cookies(request: HTTPConnection) -> Iterator[str]:
    """Return every value of our cookie; others, which other servers of this host have set, may be malformed."""
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


def _same(given: str, right: str) -> bool:
    """Compare without telling by the time it takes how much of it, or its length, is right."""
    given_hash, right_hash = (hashlib.sha256(each.encode(errors="replace")).digest() for each in (given, right))
    return secrets.compare_digest(given_hash, right_hash)


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
    else:
        await response(scope, receive, send)
