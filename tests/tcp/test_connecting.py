"""Who connects to whom: opening, adopting sockets, several senders, and those who come too late."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from spead_transport_tcp import TcpConfig, TcpReceiver, TcpSender, TcpTransport

from spead_transport import send
from spead_transport.errors import BrokenTransportError, EndOfStream, TransportError
from spead_transport.testing.packets import bytes_of, make_batch
from spead_transport.transport import Endpoint

from ..exchange import PATIENCE, receive, receive_to_end, send_all
from .links import address_of, connect, connect_raw, listen

BATCH = make_batch([100, 200, 300])
PACKETS = bytes_of(BATCH)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port at which nobody listens: it is bound, so that nobody else can."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextmanager
def crowded_port() -> Iterator[int]:
    """A port at which no connection is ever made: as many as may wait are waiting."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            assert waiting.connect_ex(listener.getsockname()) == errno.EINPROGRESS
        yield listener.getsockname()[1]


# ----------------------------------------------------------------------------------------------------------- opening


def test_the_port_that_the_system_chose_is_known() -> None:
    with listen() as receiver:
        assert address_of(receiver)[1] > 0
        with connect(receiver) as sender:
            send_all(sender, BATCH)
            assert receive(receiver, 3) == PACKETS


def test_ipv6() -> None:
    try:
        receiver = listen("::1")
    except TransportError:
        pytest.skip("this machine has no IPv6")
    with receiver:
        assert receiver.url.startswith("tcp://[::1]:")
        with TcpTransport.from_url(receiver.url).open_sender() as sender:
            send_all(sender, BATCH)
            assert receive(receiver, 3) == PACKETS


def test_nobody_listens() -> None:
    with closed_port() as port:
        transport = TcpTransport.from_url(f"tcp://127.0.0.1:{port}")
        with pytest.raises(TransportError, match="nobody listens there") as caught:
            transport.open_sender()
        assert caught.value.errno == errno.ECONNREFUSED
        with pytest.raises(TransportError, match="nobody listens there"):
            asyncio.run(transport.open_sender_async())


def test_nobody_answers() -> None:
    with crowded_port() as port:
        transport = TcpTransport.from_url(f"tcp://127.0.0.1:{port}?connect_timeout=50ms")
        with pytest.raises(TransportError, match="no answer came") as caught:
            transport.open_sender()
        assert caught.value.errno == errno.ETIMEDOUT
        with pytest.raises(TransportError, match="no answer came"):
            asyncio.run(transport.open_sender_async())


def test_giving_up_while_connecting() -> None:
    async def give_up(transport: TcpTransport) -> None:
        connecting = asyncio.create_task(transport.open_sender_async())
        await asyncio.wait([connecting], timeout=0.05)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting

    with crowded_port() as port:
        asyncio.run(give_up(TcpTransport.from_url(f"tcp://127.0.0.1:{port}")))


def test_all_addresses_of_a_host_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as closed, listen() as receiver:
        candidates = [("127.0.0.1", closed), address_of(receiver)]
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in candidates],
        )
        transport = TcpTransport.from_url("tcp://telescope:7148?connections=2")
        with transport.open_sender() as sender:
            send_all(sender, BATCH)
            assert receive(receiver, 3) == PACKETS


def test_opening_while_the_event_loop_goes_on() -> None:
    with listen() as receiver:
        transport = TcpTransport.from_url(receiver.url)
        with asyncio.run(transport.open_sender_async()) as sender:
            assert sender.url == receiver.url
            send_all(sender, BATCH)
        assert receive_to_end(receiver) == PACKETS


def test_the_address_to_connect_from() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = TcpConfig(endpoint=Endpoint(*listener.getsockname()), interface="127.0.0.77")
        with TcpTransport(config).open_sender():
            peer, address = listener.accept()
            peer.close()
            assert address[0] == "127.0.0.77"


def test_the_family_follows_the_address_to_connect_from() -> None:
    with closed_port() as port:
        transport = TcpTransport.from_url(f"tcp://127.0.0.1:{port}?interface=::1")
        with pytest.raises(TransportError, match="no address like that of the interface"):
            transport.open_sender()


def test_the_address_to_listen_at() -> None:
    with listen("", interface="127.0.0.77") as receiver:
        assert address_of(receiver)[0] == "127.0.0.77"


# ---------------------------------------------------------------------------------------------------------- adopting


def test_an_acceptor_is_duplicated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as acceptor, TcpReceiver.from_socket(acceptor) as receiver:
        acceptor.close()
        with connect(receiver) as sender:
            send_all(sender, BATCH)
        assert receive_to_end(receiver) == PACKETS


def test_an_acceptor_stays_open_for_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as acceptor:
        with TcpReceiver.from_socket(acceptor, max_packet_size=1000) as receiver, connect(receiver) as sender:
            send_all(sender, BATCH)
            assert receive(receiver, 3) == PACKETS
        with TcpReceiver.from_socket(acceptor) as receiver, connect(receiver) as sender:
            send_all(sender, BATCH)
            assert receive(receiver, 3) == PACKETS


def test_a_connection_is_duplicated() -> None:
    with listen() as receiver:
        with connect_raw(receiver) as own, TcpSender.from_socket(own) as sender:
            assert sender.url == receiver.url
            send_all(sender, BATCH)
            sender.close()
            own.sendall(PACKETS[0])
        assert receive_to_end(receiver) == [*PACKETS, PACKETS[0]]


def test_a_connection_that_blocks_is_not_waited_for() -> None:
    with listen(buffer_size=4608) as receiver, connect_raw(receiver) as own, TcpSender.from_socket(own) as sender:
        own.settimeout(None)
        large = make_batch([60_000] * 400)
        while taken := sender.try_send(large):
            large = large[taken:]
        assert len(large) > 0


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_sockets_that_cannot_be_used(kind: socket.SocketKind) -> None:
    with socket.socket(type=kind) as sock:
        with pytest.raises(ValueError, match="expected a"):
            TcpSender.from_socket(sock)
        with pytest.raises(ValueError, match="expected a"):
            TcpReceiver.from_socket(sock)


# --------------------------------------------------------------------------------------------------- several senders


def test_who_comes_too_late_is_refused() -> None:
    with listen() as receiver, connect(receiver) as sender:
        send_all(sender, BATCH)
        assert receive(receiver, 3) == PACKETS
        with pytest.raises(TransportError, match="nobody listens there"):
            connect(receiver)


def test_several_senders_at_once() -> None:
    with listen(connections=3) as receiver:
        assert receiver.capabilities.several_senders
        with ExitStack() as stack:
            senders = [stack.enter_context(connect(receiver)) for _ in range(3)]
            for sender in senders:
                send_all(sender, BATCH)
            assert sorted(receive(receiver, 9)) == sorted(PACKETS * 3)
        with pytest.raises(EndOfStream):
            receive(receiver, 1)


def test_several_senders_one_after_the_other() -> None:
    with listen(connections=3) as receiver:
        for _ in range(2):
            with connect(receiver) as sender:
                send_all(sender, BATCH)
            assert receive(receiver, 3) == PACKETS
        assert len(receiver.try_recv(1)) == 0
        with connect(receiver) as sender:
            send_all(sender, BATCH)
        assert receive_to_end(receiver) == PACKETS


def test_any_number_of_senders() -> None:
    with listen(connections=0) as receiver:
        assert not receiver.capabilities.signals_end
        for _ in range(5):
            with connect(receiver) as sender:
                send_all(sender, BATCH)
            assert receive(receiver, 3) == PACKETS
        with connect(receiver):
            pass


def test_no_sender_starves() -> None:
    with (
        listen(connections=2, buffer_size=100_000) as receiver,
        connect(receiver) as busy,
        connect(receiver) as quiet,
    ):
        large = make_batch([60_000] * 400)
        while taken := busy.try_send(large):
            large = large[taken:]
        send_all(quiet, BATCH)
        for _ in range(10):
            assert receiver.readable.wait(PATIENCE)
            if set(PACKETS) & set(bytes_of(receiver.try_recv(1000))):
                return
            while taken := busy.try_send(large):
                large = large[taken:] if len(large) > taken else make_batch([60_000] * 400)
        pytest.fail("the sender that sent little was never heard")


def test_a_program_with_too_many_sockets_is_told() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listen() as receiver, connect(receiver):
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
        try:
            with pytest.raises(BrokenTransportError, match="too many files and sockets"):
                receiver.try_recv(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_who_connects_and_goes_is_a_sender_too() -> None:
    with listen() as receiver:
        connect_raw(receiver).close()
        assert receive_to_end(receiver) == []
        for _ in range(2):
            with pytest.raises(EndOfStream):
                receiver.try_recv(1)


def test_a_forgotten_sender_is_closed() -> None:
    with listen() as receiver:
        with pytest.warns(ResourceWarning, match="never closed"):
            send_all(connect(receiver), BATCH)  # nothing else refers to it
        assert receive_to_end(receiver) == PACKETS


@pytest.mark.parametrize("scheme", ["tcp", "faults+tcp"])
async def test_a_stream_that_is_opened_does_not_hold_the_event_loop_up(scheme: str) -> None:
    with crowded_port() as port:
        opening = asyncio.create_task(_enter(f"{scheme}://127.0.0.1:{port}?connect_timeout=20s"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not opening.done()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def _enter(url: str) -> None:
    async with send.asyncio.open_sender(url):
        pass


@pytest.mark.parametrize("scheme", ["tcp", "faults+tcp"])
async def test_both_ways_to_open_a_stream(scheme: str, engine: str) -> None:
    with listen() as receiver:
        url = f"{scheme}://{receiver.url.removeprefix('tcp://')}"
        stream = await send.asyncio.open_sender(url, engine=engine)
        assert await stream.async_send_heap(send.Heap(), 1) > 0
        stream.close()
    with listen() as receiver:
        async with send.asyncio.open_sender(receiver.url, engine=engine) as stream:
            assert await stream.async_send_heap(send.Heap(), 1) > 0


async def test_what_is_wrong_is_told_when_it_is_known() -> None:
    with pytest.raises(ValueError, match="speed"):
        send.asyncio.open_sender("tcp://127.0.0.1:1?speed=1")
    with closed_port() as port:
        opening = send.asyncio.open_sender(f"tcp://127.0.0.1:{port}")  # nothing happens yet
        with pytest.raises(TransportError, match="nobody listens there"):
            await opening
    with listen() as receiver, pytest.raises(ValueError, match="rust"):
        await send.asyncio.open_sender(receiver.url, engine="rust")
