"""Opening streams: what comes out, and what must not go in."""

from __future__ import annotations

import asyncio
from typing import assert_type

import spead_transport as spead
from spead_transport import recv, send
from spead_transport.config import Config, NamedStream
from spead_transport.transport import PacketReceiver, PacketSender

config = send.StreamConfig(rate=1e6)

# What comes out.
assert_type(spead.open_sender("inproc://x"), send.SyncStream)
assert_type(spead.open_receiver("inproc://x", "udp://:8888"), recv.Stream)
assert_type(send.asyncio.open_sender("inproc://x", config=config), send.asyncio.SenderOpening)
assert_type(recv.asyncio.open_receiver("inproc://x", end="any"), recv.asyncio.Stream)
with spead.open_sender("inproc://x", thread_pool=spead.ThreadPool(2), engine="python") as sync_sender:
    assert_type(sync_sender, send.SyncStream)
with spead.open_receiver("inproc://x", ring_config=recv.RingStreamConfig(heaps=8)) as sync_receiver:
    assert_type(sync_receiver, recv.Stream)

# Streams of a file.
streams = spead.load_config("streams.toml")
assert_type(streams, Config)
assert_type(streams["visibilities"], NamedStream)
assert_type(streams["visibilities"].open_sender(), send.SyncStream)
assert_type(streams["visibilities"].open_async_sender(), send.asyncio.SenderOpening)
assert_type(streams["visibilities"].open_receiver(), recv.Stream)
assert_type(streams["visibilities"].open_async_receiver(), recv.asyncio.Stream)
streams[0]  # error
streams["visibilities"].open_sender(rate=1e6)  # error


def endpoints(sender: PacketSender, receiver: PacketReceiver) -> None:
    """Open endpoints will do, each for its own direction."""
    assert_type(spead.open_sender(sender), send.SyncStream)
    assert_type(spead.open_receiver(receiver), recv.Stream)
    spead.open_sender(receiver)  # error
    spead.open_receiver(sender)  # error


# What must not go in.
spead.open_sender(8888)  # error
spead.open_sender("inproc://x", config)  # error
spead.open_sender("inproc://x", config=recv.StreamConfig())  # error
spead.open_sender("inproc://x", "inproc://y")  # error
spead.open_receiver("inproc://x", config=config)  # error
spead.open_receiver("inproc://x", end="some")  # error
spead.open_receiver(["inproc://x"])  # error
spead.open_sender("inproc://x", engine=1)  # error
spead.open_sender("inproc://x", thread_pool=2)  # error


async def main() -> None:
    async with send.asyncio.open_sender("inproc://x") as sender:
        assert_type(sender, send.asyncio.AsyncStream)
    assert_type(await send.asyncio.open_sender("inproc://x"), send.asyncio.AsyncStream)
    send.asyncio.open_sender("inproc://x").close()  # error
    async with recv.asyncio.open_receiver("inproc://x") as receiver:
        assert_type(receiver, recv.asyncio.Stream)
    async with spead.open_sender("inproc://x"):  # error
        pass
    with send.asyncio.open_sender("inproc://x"):  # error
        pass


asyncio.run(main())
