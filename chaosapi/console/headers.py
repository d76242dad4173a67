"""Security headers: the browser runs only the page's own scripts, and shows it in no frame of another site."""

import re
import secrets
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "script-src 'self' 'unsafe-eval' 'nonce-{nonce}'"
)
"""NiceGUI compiles its templates in the browser, which needs unsafe-eval; an injected script has no nonce."""
ASSETS: Final = "/_nicegui"
"""The path of NiceGUI's scripts, styles and web socket."""
_HEADERS: Final = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_SCRIPT: Final = re.compile(rb"<script(?=[\s>])")


class SecurityHeaders:
    """Pure ASGI: adds the headers, and marks the scripts of each HTML page with a fresh nonce."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not scope["path"].startswith(ASSETS):
            headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope = {**scope, "headers": headers}  # the nonce cannot be put into a compressed page
        await self._app(scope, receive, _NonceMarker(send))


class _NonceMarker:
    """The `send` of one request; buffers an HTML page until it is complete."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._nonce = secrets.token_urlsafe(16)
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update({**_HEADERS, "content-security-policy": _POLICY.format(nonce=self._nonce)})
            if headers.get("content-type", "").startswith("text/html"):
                self._start = message
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = _SCRIPT.sub(b'<script nonce="%s"' % self._nonce.encode(), self._body)
            MutableHeaders(scope=self._start)["content-length"] = str(len(body))
            await self._send(self._start)
            message = {"type": "http.response.body", "body": body}
        await self._send(message)
