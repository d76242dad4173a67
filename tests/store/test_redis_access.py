"""Redis with TLS, a password and a user with few permissions; and invalid URLs."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.store import Replica, store_from_url
from tests.captured import captured
from tests.store.conftest import RedisServer, Relay, Seen, a_fault, an_entry, started, until

PAGE = Path(__file__).parents[2] / "docs" / "many-machines.md"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return the CA of the right server's certificate."""
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return the file for `ssl_ca_certs`."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def allow(server: RedisServer, password: str) -> None:
    """Add the user of the documentation, with the documented line, and no other user."""
    (line,) = re.findall(r"^ACL SETUSER (.*)$", PAGE.read_text(), re.MULTILINE)
    with redis.Redis.from_url(server.url) as admin:
        assert admin.execute_command("ACL", "SETUSER", *line.replace("PASSWORD", password).split())


def certified(signer: trustme.CA) -> ssl.SSLContext:
    """Return a TLS context with a certificate for 127.0.0.1 by this CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert("127.0.0.1").configure_cert(context)
    return context


@asynccontextmanager
async def behind_tls(server: RedisServer, context: ssl.SSLContext, ca: Path, password: str) -> AsyncIterator[str]:
    """Run a TLS proxy in front of a Redis; yield its URL."""
    async with Relay(server.port, context) as relay:
        yield f"rediss://chaosapi:{password}@{relay.url.split('/')[2]}/0?ssl_ca_certs={ca}"


def reasons(logs: list[Any]) -> list[str]:
    """Return the logged reason why the store is unavailable."""
    return [line["reason"] for line in logs if line["level"] == "warning"]


def test_every_operation_works_over_tls_with_few_permissions(
    redis_server: Callable[..., RedisServer], authority: trustme.CA, bundle: Path
) -> None:
    """Changes, audit, reports, tallies, and recovery of a flushed Redis; the log has no refusals."""

    async def scenario() -> None:
        server = redis_server()
        allow(server, "s3cret")
        async with behind_tls(server, certified(authority), bundle, "s3cret") as url:
            here = store_from_url(url)
            there = store_from_url(url)
            mine = Seen(here)
            theirs = Seen(there)
            async with started(here, there):
                assert here.up
                assert there.up
                for name in ("a", "b", "a"):
                    spec = a_fault(name, seed=mine.revision)
                    await here.apply(changes.replace(spec, here.now()), an_entry("replace"))
                await theirs.reach(3)
                await here.report(Replica(id="me", host="h", pid=1, started=0), {"b@1": "{}"})
                assert [replica.id for replica in await there.replicas()] == ["me"]
                assert await there.tallies(["b@1"]) == {"b@1": {"me": "{}"}}
                await here.report(Replica(id="me", host="h", pid=1, started=0), {}, leaving=True)
                assert await there.replicas() == []
                assert len(await there.audit(10)) == 3
                with redis.Redis.from_url(server.url) as admin:
                    admin.flushall()
                for seen in (mine, theirs):
                    await seen.reach(4)
                assert [entry.action for entry in await there.audit(10)] == ["end_all", *3 * ["replace"]]

    with captured() as logs:
        asyncio.run(scenario())
    assert not any("away" in line["event"] for line in logs)


def test_those_permissions_reach_no_further(redis_server: Callable[..., RedisServer]) -> None:
    """Other keys and channels, and dangerous commands, are refused."""
    server = redis_server()
    allow(server, "s3cret")
    with redis.Redis.from_url(server.url.replace("//", "//chaosapi:s3cret@")) as user:
        for command in ("SET other 1", "HSET other a 1", "PUBLISH other x", "FLUSHALL", "CONFIG GET *", "KEYS *"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                user.execute_command(*command.split())


def test_a_server_with_an_untrusted_certificate_is_refused_until_it_is_trusted(
    redis_server: Callable[..., RedisServer], authority: trustme.CA, bundle: Path
) -> None:
    """The log names the certificate; with the right one the store works without a restart."""

    async def scenario() -> None:
        server = redis_server()
        allow(server, "s3cret")
        context = certified(trustme.CA())
        async with behind_tls(server, context, bundle, "s3cret") as url:
            store = store_from_url(url)
            async with started(store):
                assert not store.up
                with pytest.raises(StoreUnavailable, match="certificate verify failed"):
                    await store.apply(changes.create(a_fault(), store.now()), an_entry())
                authority.issue_cert("127.0.0.1").configure_cert(context)
                await until(lambda: store.up, "it is trusted")
                await store.apply(changes.create(a_fault(), store.now()), an_entry())

    with captured() as logs:
        asyncio.run(scenario())
    (reason,) = reasons(logs)
    assert "certificate verify failed" in reason


def test_a_wrong_password_is_refused_until_it_is_right(
    redis_server: Callable[..., RedisServer], authority: trustme.CA, bundle: Path
) -> None:
    """The log says so, without the password."""

    async def scenario() -> None:
        server = redis_server()
        allow(server, "another")
        async with behind_tls(server, certified(authority), bundle, "s3cret") as url:
            store = store_from_url(url)
            async with started(store):
                assert not store.up
                allow(server, "s3cret")
                await until(lambda: store.up, "it may come in")
                await store.apply(changes.create(a_fault(), store.now()), an_entry())

    with captured() as logs:
        asyncio.run(scenario())
    (reason,) = reasons(logs)
    assert "invalid username-password pair" in reason
    assert "s3cret" not in str(logs)


def test_a_url_that_can_never_work_is_refused_at_startup(tmp_path: Path) -> None:
    """An unknown option, unreadable certificates, or a database number that would be ignored."""
    for query, hint in (("ssl_ca_cert=x", "ssl_ca_cert"), (f"ssl_ca_certs={tmp_path / 'none'}", "cannot be used")):
        with pytest.raises(ValueError, match=hint):
            store_from_url(f"rediss://localhost:6379/0?{query}")
    for rest, hint in (("prod", "number of a database"), ("0?socket_timeout=9", "socket_timeout")):
        with pytest.raises(ValueError, match=hint):
            store_from_url(f"redis://localhost:6379/{rest}")
