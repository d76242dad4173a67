"""JSON over HTTP, with every failure turned into words."""

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from chaosapi.console.errors import Locked, Refused, Silent, Unreachable


async def asked(http: httpx2.AsyncClient, method: str, path: str, **request: Any) -> Any:
    """Return the JSON that came, None for an empty body; raises SourceError: Unreachable, Silent, Locked or Refused."""
    try:
        answer = await http.request(method, path, **request)
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise Unreachable("nothing answers there") from error
    except httpx2.HTTPError as error:
        raise Silent(f"no answer ({type(error).__name__})") from error
    if answer.is_success and not answer.content:
        return None  # as Alertmanager does where there is nothing to tell
    try:
        content = _read(answer.text)
    except (ValueError, RecursionError) as error:
        raise Silent(f"it answered {answer.status_code}, and no JSON") from error
    if answer.status_code == httpx2.codes.UNAUTHORIZED:
        raise Locked("it wants a token, or another one")
    if not answer.is_success:
        raise _refused(answer.status_code, content)
    return content


def _read(text: str) -> Any:
    """Read JSON; a lone surrogate, which no page can be sent, becomes a question mark."""
    content = json.loads(text)
    if "\\ud" not in text.lower():
        return content
    return json.loads(json.dumps(content, ensure_ascii=False).encode(errors="replace"))


def shown(url: str) -> str:
    """Return a URL as everybody may see it: without the name and the password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _refused(status: int, content: Any) -> Refused:
    """Read a problem document (RFC 9457), or what Prometheus and Alertmanager say instead."""
    if not isinstance(content, dict):
        return Refused(str(content) or f"it answered {status}")
    text = content.get("detail") or content.get("error") or content.get("message") or f"it answered {status}"
    errors = content.get("errors") or []
    return Refused(str(text), {each["field"]: each["message"] for each in errors if "field" in each})
