"""The sender of a request, as a server sees it: the peer's address, the Host header, headers of reverse proxies."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

TEST_CLIENT: Final = "testclient"
"""Starlette's TestClient uses this peer for requests in the same process; servers use an address."""
_LOOPBACK_NAMES: Final = {"localhost", "localhost.localdomain", "ip6-localhost"}
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{0,5})?", re.IGNORECASE | re.ASCII)
"""A Host header (RFC 9110, 7.2): an IPv6 address in brackets, or a name or IPv4 address; an optional port."""
_PROXY_HEADERS: Final = {
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-proxyuser-ip",
    "true-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "client-ip",
    "cdn-loop",
    "x-scheme",
}
_PROXY_HEADER_PREFIXES: Final = ("x-forwarded", "x-original-", "x-envoy-", "x-appengine-", "x-azure-", "cf-")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is a loopback one."""
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    # An IPv6 socket reports IPv4 peers as ::ffff:127.0.0.1, which Python before 3.13 does not treat as loopback.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def is_address(host: str) -> bool:
    """Return whether a host is an IP address. DNS rebinding needs a name: a page cannot share an address with us."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def hostname(host: str) -> str | None:
    """Return the name or address of a Host header in lower case, None where the header is malformed."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else None


def wrong_host(values: Sequence[str]) -> str:
    """Return what is wrong with the Host headers of a request (RFC 9112, 3.2), or an empty string."""
    if len(values) > 1:
        return "a request has one Host, not several"
    if values and values[0] and hostname(values[0]) is None:
        return "Host must be a name or an address, with a port or without"
    return ""


def is_own_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header (RFC 6454) names the same server as the Host header."""
    return origin.lower() in {f"http://{host.lower()}", f"https://{host.lower()}"}


def proxy_header(names: Iterable[str]) -> str | None:
    """Return the first header name (in lower case) that only proxies send, or None."""
    return next((name for name in names if name in _PROXY_HEADERS or name.startswith(_PROXY_HEADER_PREFIXES)), None)


def remote_reason(client: Sequence[object] | None, names: Iterable[str], http_version: str) -> str:
    """Return why a request may come from another machine, or an empty string where this machine has sent it.

    `client` is the peer as in the ASGI scope, `names` are header names in lower case. A reverse proxy on this machine
    has a loopback address too, but its clients may be anywhere. Most proxies add a header; nginx, which adds none by
    default, speaks HTTP/1.0.
    """
    peer = str(client[0]) if client else ""
    if not (peer == TEST_CLIENT or is_loopback(peer)):
        return f"not to {peer}" if peer else "not to a peer whose address is not known, as on a Unix socket"
    if name := proxy_header(names):
        return f"not through a proxy, as the header {name!r} shows"
    return "not to HTTP/1.0, as reverse proxies speak it" if http_version == "1.0" else ""
