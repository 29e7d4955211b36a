"""Streams over TCP: held up from end to end, and under their classic names."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import numpy.typing as npt
import pytest
from spead_transport_tcp import TcpConfig

import spead_transport
from spead_transport import recv, send
from spead_transport.errors import BrokenTransportError, TransportError
from spead_transport.testing.packets import bytes_of, make_batch

from ..exchange import PATIENCE, running

COUNT = 20
#: Much more than all buffers together hold.
VALUES = np.arange(1 << 18, dtype=np.float64)


def _heap(value: npt.ArrayLike = 1.0) -> send.Heap:
    group = send.ItemGroup()
    group.add_item(0x1000, "value", "whatever is sent", np.shape(value), np.float64, value=value)
    return group.get_heap()


def send_many(stream: send.SyncStream, timeout: float | None = None) -> None:
    for _ in range(COUNT):
        stream.send_heap(_heap(VALUES), timeout=timeout)


def _port(stream: recv.RingStream) -> int:
    return TcpConfig.from_url(stream.urls[0]).endpoint.port


def test_back_pressure_from_end_to_end(engine: str) -> None:
    with spead_transport.open_receiver("tcp://127.0.0.1:0?buffer_size=64KiB", engine=engine) as receiving:

        def send_all() -> None:
            with send.open_sender(receiving.urls[0], engine=engine) as sending:
                send_many(sending)

        with running(send_all):
            cnts = [heap.cnt for heap in receiving]
        assert cnts == list(range(1, COUNT + 1))
        assert receiving.stats["incomplete_heaps_evicted"] == 0


def test_a_sender_that_is_held_up_can_give_up(engine: str) -> None:
    """What it had begun to send does not disturb what it sends later."""
    with (
        spead_transport.open_receiver("tcp://127.0.0.1:0?buffer_size=64KiB", engine=engine) as receiving,
        send.open_sender(receiving.urls[0], engine=engine) as sending,
    ):
        with pytest.raises(TimeoutError):
            send_many(sending, timeout=0.05)

        def send_rest() -> None:
            sending.send_heap(_heap(), 1000)
            sending.close()

        with running(send_rest):
            cnts = [heap.cnt for heap in receiving]
        assert cnts[-1] == 1000
        assert sum(count for name, count in receiving.stats.items() if name.startswith("rejected_")) == 0


def test_closing_while_held_up(engine: str) -> None:
    with spead_transport.open_receiver("tcp://127.0.0.1:0?buffer_size=64KiB", engine=engine) as receiving:
        sending = send.open_sender(receiving.urls[0], engine=engine)

        def send_all() -> None:
            with pytest.raises(spead_transport.ClosedError):
                send_many(sending)

        with running(send_all):
            receiving.get(PATIENCE)  # so that it is under way
            sending.close()


def test_junk_and_a_truncated_packet_are_counted(engine: str) -> None:
    good, cut = bytes_of(make_batch([100, 200]))
    with recv.Stream(engine=engine) as receiving:
        receiving.add_tcp_reader(0, bind_hostname="127.0.0.1")
        with socket.create_connection(("127.0.0.1", _port(receiving)), PATIENCE) as peer:
            peer.sendall(b"junkjunk" * 5 + good + cut[:60])
        assert [heap.cnt for heap in receiving] == [1]
        stats = receiving.stats
        assert stats["packets"] == 1
        rejected = {name: count for name, count in stats.items() if name.startswith("rejected_") and count}
        assert sum(rejected.values()) == 6
        assert rejected["rejected_magic"] == 5


def test_a_broken_connection_is_an_error(engine: str) -> None:
    with recv.Stream(engine=engine) as receiving:
        receiving.add_tcp_reader(0, bind_hostname="127.0.0.1")
        with socket.create_connection(("127.0.0.1", _port(receiving)), PATIENCE) as peer:
            peer.sendall(bytes_of(make_batch([100]))[0])
            assert receiving.get(PATIENCE).cnt == 1
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with pytest.raises(BrokenTransportError, match="the connection from"):
            receiving.get(PATIENCE)


# ----------------------------------------------------------------------------------------------------- classic names


def test_classic_names() -> None:
    with recv.Stream(spead_transport.ThreadPool()) as receiving:
        receiving.add_tcp_reader(0, 65536, 212992, "127.0.0.1")
        stream = send.TcpStream(spead_transport.ThreadPool(), [("127.0.0.1", _port(receiving))], send.StreamConfig())
        assert stream.num_substreams == 1
        assert stream.send_heap(_heap()) > 0
        stream.close()
        assert [heap.cnt for heap in receiving] == [1]


def test_classic_names_with_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as acceptor, recv.Stream() as receiving:
        receiving.add_tcp_reader(acceptor, 9000)
        with socket.create_connection(acceptor.getsockname()) as connection:
            stream = send.TcpStream(None, connection, send.StreamConfig(max_packet_size=9000))
        stream.send_heap(_heap(VALUES[:1000]))
        stream.close()
        assert [heap.cnt for heap in receiving] == [1]


async def test_classic_names_with_asyncio() -> None:
    receiving = recv.asyncio.Stream()
    receiving.add_tcp_reader(port=0, bind_hostname="127.0.0.1")
    endpoint = ("127.0.0.1", _port(receiving))
    stream = await send.asyncio.TcpStream.connect(spead_transport.ThreadPool(), [endpoint], send.StreamConfig())
    assert isinstance(stream, send.asyncio.TcpStream)
    await asyncio.gather(*(stream.async_send_heap(_heap()) for _ in range(3)))
    stream.close()
    assert [heap.cnt async for heap in receiving] == [1, 2, 3]


async def test_classic_names_with_asyncio_and_a_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as acceptor:
        receiving = recv.asyncio.Stream()
        receiving.add_tcp_reader(acceptor=acceptor)
        with socket.create_connection(acceptor.getsockname()) as connection:
            stream = send.asyncio.TcpStream(None, connection)
    await stream.async_send_heap(_heap())
    stream.close()
    assert [heap.cnt async for heap in receiving] == [1]


def test_what_classic_names_refuse() -> None:
    with pytest.raises(ValueError, match="exactly one endpoint"):
        send.TcpStream(None, [])
    with pytest.raises(ValueError, match="exactly one endpoint"):
        send.TcpStream(None, [("127.0.0.1", 1), ("127.0.0.1", 2)])
    with pytest.raises(TypeError, match="65535"):
        send.TcpStream(None, [("127.0.0.1", 65536)])
    with recv.Stream() as receiving:
        with pytest.raises(TypeError, match="65535"):
            receiving.add_tcp_reader(65536)
        with pytest.raises(TypeError):
            receiving.add_tcp_reader()  # type: ignore[call-overload]
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(TransportError) as caught:
            send.TcpStream(None, [sock.getsockname()])
    assert isinstance(caught.value, OSError)


def test_defaults() -> None:
    assert send.TcpStream.DEFAULT_BUFFER_SIZE == send.asyncio.TcpStream.DEFAULT_BUFFER_SIZE == 212992
    assert (recv.Stream.DEFAULT_TCP_MAX_SIZE, recv.Stream.DEFAULT_TCP_BUFFER_SIZE) == (65536, 212992)
