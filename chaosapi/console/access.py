"""Who may use the console: people on this machine, or those who know its password; never another site's page."""

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from cachetools import TTLCache
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.peers import is_loopback

COOKIE: Final = "chaosapi_console"
LOGIN: Final = "/login"
_HOURS: Final = 12
_TRIES, _WITHIN = 10, 60.0  # wrong passwords, from anybody, within so many seconds


@dataclass(eq=False)
class Session:
    """One browser: whether it has logged in, and the admin token that was entered there; kept in memory alone."""

    entered: bool = False
    token: str | None = None


class Sessions:
    """The browsers that came within the last twelve hours, a thousand at most."""

    def __init__(self, password: str | None, clock: Callable[[], float]) -> None:
        self.password = password
        self._clock = clock
        self._known: TTLCache[str, Session] = TTLCache(1000, _HOURS * 3600, clock)
        self._wrong: deque[float] = deque(maxlen=_TRIES)

    def find(self, headers: Headers) -> Session | None:
        """Return the session of a browser's cookie."""
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        return self._known.get(cookie.value) if cookie else None

    def open(self, *, entered: bool) -> tuple[str, Session]:
        """Make a session; returns the cookie's value too."""
        number, session = secrets.token_urlsafe(32), Session(entered)
        self._known[number] = session
        return number, session

    def admits(self, password: str) -> bool:
        """Tell whether the password is right; after ten wrong ones within a minute none is."""
        now = self._clock()
        if len(self._wrong) == _TRIES and now - self._wrong[0] < _WITHIN:
            return False
        if self.password and secrets.compare_digest(password.encode(), self.password.encode()):
            return True
        self._wrong.append(now)
        return False


class Guard:
    """Pure ASGI, in front of everything, web sockets too."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app, self._sessions = app, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its session, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        session = self._sessions.find(headers)
        if trouble := self._trouble(headers):
            await _refuse(PlainTextResponse(trouble, 403), scope, receive, send)
        elif scope["path"] == LOGIN:
            await self._app(scope, receive, send)
        elif session and (session.entered or not self._sessions.password):
            scope["session_of_console"] = session
            await self._app(scope, receive, send)
        elif self._sessions.password or scope["type"] == "websocket":
            await _refuse(RedirectResponse(LOGIN, 303), scope, receive, send)
        else:
            number, scope["session_of_console"] = self._sessions.open(entered=False)
            await self._app(scope, receive, _with_cookie(send, cookie(number)))

    def _trouble(self, headers: Headers) -> str:
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return f"a page of {origin} may not use the console"
        # A page can point a name of its own at 127.0.0.1; it cannot change the Host that is sent.
        if not self._sessions.password and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return f"without a password the console answers only to a loopback name, such as localhost, not to {host!r}"
        return ""


def cookie(number: str) -> str:
    """Write the cookie of a session: for this site alone, and not for scripts."""
    return f"{COOKIE}={number}; Path=/; HttpOnly; SameSite=Strict"


def _with_cookie(send: Send, text: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("set-cookie", text)
        await send(message)

    return sending


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
    else:
        await response(scope, receive, send)
