"""Create a Redis client from a URL."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError

from chaosapi.store.redis.errors import SOCKET_TIMEOUT_S

_RESERVED_OPTIONS: Final = {"decode_responses", "socket_timeout", "socket_connect_timeout"}


def connect(url: str) -> Redis:
    """Return a client, which connects at its first call; raises ValueError for a URL that can never work.

    The URL may carry user, password, database and options of redis-py's connections, such as `ssl_ca_certs`.
    """
    parts = urlsplit(url)
    if parts.scheme != "unix" and not re.fullmatch(r"/?[0-9]*", parts.path):
        raise ValueError("the path of a Redis URL is the number of a database, such as /0")
    if reserved := parse_qs(parts.query).keys() & _RESERVED_OPTIONS:
        raise ValueError(f"{', '.join(sorted(reserved))}: the store sets this itself, remove it from the URL")
    client = Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.1), 1),
    )
    try:
        connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no type for it
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()
    except (TypeError, RedisError) as error:
        raise ValueError(f"redis-py cannot use this URL: {error}") from error
    except OSError as error:  # ssl.SSLError is an OSError
        raise ValueError(f"the certificates or the key that the URL names cannot be used: {error}") from error
    return client
