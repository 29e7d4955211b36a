"""Opening senders while the event loop goes on."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from spead_transport_udp import UdpTransport

from spead_transport import TransportError, recv, send

from ..items import heap_of

PATIENCE = 30


@contextmanager
def slow_name_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """``telescope`` is this machine, but that is told only when the event is set."""
    answer = threading.Event()
    getaddrinfo = socket.getaddrinfo

    def resolve(host: str, *arguments: int) -> object:
        if host != "telescope":
            return getaddrinfo(host, *arguments)
        assert answer.wait(PATIENCE)
        return getaddrinfo("127.0.0.1", *arguments)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        yield answer
    finally:
        answer.set()


async def test_names_are_resolved_while_the_event_loop_goes_on(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    async with recv.asyncio.open_receiver("udp://127.0.0.1:0", engine=engine) as receiver:
        port = receiver.urls[0].rpartition(":")[2].partition("?")[0]
        with slow_name_service(monkeypatch) as answer:
            asyncio.get_running_loop().call_soon(answer.set)  # nobody would, if the loop stood still
            async with send.asyncio.open_sender(f"udp://telescope:{port}", engine=engine) as sender:
                await sender.async_send_heap(heap_of(), 12)
        assert (await asyncio.wait_for(receiver.get(), PATIENCE)).cnt == 12


async def test_giving_up_while_a_name_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_name_service(monkeypatch):
        opening = asyncio.create_task(UdpTransport.from_url("udp://telescope:7148").open_sender_async())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    gc.collect()  # a socket that was left open is an error


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(TransportError, match="'telescope' has no address"):
        await UdpTransport.from_url("udp://telescope:7148").open_sender_async()
