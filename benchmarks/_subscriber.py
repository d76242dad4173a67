"""A subscriber of a bare Redis channel: prints when each message arrived, by the service's clock and event loop."""

import sys
import time

import uvloop
from redis.asyncio import Redis


async def follow(url: str, channel: str) -> None:
    """Write `ready`, then a line for each message: its arrival in Unix seconds."""
    async with Redis.from_url(url) as client, client.pubsub() as inbox:
        await inbox.subscribe(channel)
        async for message in inbox.listen():
            print("ready" if message["type"] == "subscribe" else repr(time.time()), flush=True)


if __name__ == "__main__":
    uvloop.run(follow(*sys.argv[1:]))
