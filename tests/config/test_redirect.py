"""Programs that were written for a network run in memory, without a change."""

from __future__ import annotations

import pytest

from spead_transport import Empty, InprocQueue, open_receiver, open_sender, recv, send
from spead_transport.transport import REDIRECT_VARIABLE, Redirection, redirected, transport_from_url
from spead_transport.transport.redirect import open_receiver as open_endpoint

from ..items import heap_of


def cnts(stream: recv.Stream, count: int) -> list[int]:
    return [stream.get(timeout=5).cnt for _ in range(count)]


def test_a_program_written_for_udp_meets_itself_in_memory() -> None:
    """Ports are enough for hosts, which have many addresses and names; groups are told apart by address."""
    with redirected("udp->inproc"), recv.Stream() as first, recv.Stream() as second:
        first.add_udp_reader(7148, bind_hostname="127.0.0.1")
        second.add_udp_reader("239.2.3.4", 7148, interface_address="127.0.0.1")
        endpoints = [("telescope.example", 7148), ("239.2.3.4", 7148)]
        with send.UdpStream(None, endpoints, send.StreamConfig(max_heaps=8)) as sender:
            sender.send_heap(heap_of(), 1)
            sender.send_heap(heap_of(), 2, substream_index=1)
        assert cnts(first, 1) == [1]
        assert cnts(second, 1) == [2]
        assert first.urls[0].startswith("inproc://")


async def test_asyncio_too() -> None:
    with redirected("udp->inproc"):
        async with recv.asyncio.open_receiver("udp://:7148") as receiver:
            async with send.asyncio.UdpStream(None, [("10.1.2.3", 7148)]) as sender:
                await sender.async_send_heap(heap_of(), 5)
            assert (await receiver.get()).cnt == 5


def test_every_receiver_of_a_group_gets_all() -> None:
    url = "udp://239.2.3.4:7148"
    with (
        redirected("udp->inproc"),
        open_receiver(url) as one,
        open_receiver(url) as other,
        open_sender(url) as sender,
    ):
        sender.send_heap(heap_of(), 1)
        assert cnts(one, 1) == cnts(other, 1) == [1]


def test_a_receiver_outlives_its_senders_as_on_a_network() -> None:
    with redirected("udp->inproc"), open_receiver("udp://:7148") as receiver:
        for cnt in (1, 2):
            with open_sender("udp://127.0.0.1:7148") as sender:
                sender.send_heap(heap_of(), cnt)
            assert cnts(receiver, 1) == [cnt]
            with pytest.raises(Empty):
                receiver.get_nowait()


def test_rates_are_ignored(engine: str) -> None:
    """At these rates the test would take hours."""
    with redirected("udp->inproc"), open_receiver("udp://:7148", engine=engine) as receiver:
        with open_sender("udp://127.0.0.1:7148?rate=1&burst_size=1", engine=engine) as sender:
            assert sender.config.rate == 1
            sender.send_heap(heap_of(), 1)
            sender.send_heap(heap_of(), 2, rate=1)
            sender.send_heaps([send.HeapReference(heap_of(), cnt=3, rate=1)], send.GroupMode.SERIAL)
        assert cnts(receiver, 3) == [1, 2, 3]


def test_rates_are_kept_where_nothing_is_redirected() -> None:
    with redirected("udp->inproc"), transport_from_url("inproc://rates").open_sender() as sender:
        assert sender.capabilities.keeps_rate


def test_nothing_is_left_for_the_next_redirection() -> None:
    with redirected("udp->inproc"):
        with open_sender("udp://127.0.0.1:7148") as sender:
            sender.send_heap(heap_of())
        url = sender.url
    with open_receiver(url) as receiver, pytest.raises(Empty):
        receiver.get_nowait()
    with redirected("udp->inproc"), open_receiver("udp://:7148") as receiver, pytest.raises(Empty):
        receiver.get_nowait()


def test_free_ports_are_different_ones() -> None:
    with redirected("udp->inproc"), open_receiver("udp://:0") as one, open_receiver("udp://:0") as other:
        assert one.urls != other.urls
        with open_sender(one.urls[0]) as sender:
            sender.send_heap(heap_of(), 3)
        assert cnts(one, 1) == [3]
        with pytest.raises(Empty):
            other.get_nowait()


def test_the_innermost_redirection_counts() -> None:
    with (
        redirected("udp->inproc://outer"),
        redirected("udp->inproc://inner") as inner,
        open_endpoint(transport_from_url("udp://:7148")) as receiver,
    ):
        assert receiver.url == f"inproc://{inner.prefix}inner?mode=fanout"
    with open_receiver("udp://127.0.0.1:0") as receiver:
        assert receiver.urls[0].startswith("udp://")


def test_what_a_wrapper_wraps_is_redirected(drop: str) -> None:
    with redirected("udp->inproc"), open_receiver("udp://:7148") as receiver:
        with open_sender("drop+udp://127.0.0.1:7148?every=2&rate=1&burst_size=1") as sender:
            for cnt in range(1, 5):
                sender.send_heap(heap_of(), cnt)
        assert cnts(receiver, 2) == [1, 3]


def test_the_environment_redirects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REDIRECT_VARIABLE, "udp://239.2.*:7148->inproc://test/*, udp://:7148 -> inproc://by-name")
    with open_endpoint(transport_from_url("udp://239.2.3.4:7148")) as receiver:
        assert receiver.url == "inproc://test/239.2.3.4:7148?mode=fanout"
    with open_endpoint(transport_from_url("udp://127.0.0.1:7148")) as receiver:
        assert receiver.url == "inproc://by-name?mode=fanout"
    with open_endpoint(transport_from_url("udp://127.0.0.1:0")) as receiver:
        assert receiver.url.startswith("udp://127.0.0.1:")


@pytest.mark.parametrize(
    ("rules", "url", "message"),
    [
        ("udp", "udp://:1", "SPEAD_TRANSPORT_REDIRECT=udp: expected rules such as udp->inproc"),
        ("udp->", "udp://:1", "expected rules such as"),
        ("->inproc", "udp://:1", "expected rules such as"),
        ("udp->inproc://x?mode=share", "udp://:1", "expected rules such as"),
        ("udp->inprok", "udp://:1", "did you mean 'inproc'"),
        ("udp->udp", "udp://:1", "SPEAD_TRANSPORT_REDIRECT=udp->udp: 'udp' cannot stand in for other transports"),
        ("udp://:1->inproc", "udp://127.0.0.1:1,127.0.0.1:2", "are not the same for all of them"),
    ],
)
def test_impossible_rules_are_told(monkeypatch: pytest.MonkeyPatch, rules: str, url: str, message: str) -> None:
    monkeypatch.setenv(REDIRECT_VARIABLE, rules)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared
        open_receiver(url)
    assert message in str(caught.value)


def test_a_malformed_redirection_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="expected rules such as"), redirected("udp=>inproc"):
        pass


def test_queues_that_are_objects_are_left_alone() -> None:
    queue = InprocQueue()
    with redirected("udp->inproc"), recv.Stream() as receiver, send.InprocStream(None, [queue]) as sender:
        receiver.add_inproc_reader(queue)
        sender.send_heap(heap_of(), 1)
        assert cnts(receiver, 1) == [1]


@pytest.mark.usefixtures("spead_inproc")
def test_the_fixture_redirects_udp_and_tcp() -> None:
    with recv.Stream() as stream, recv.Stream() as other:
        stream.add_udp_reader(7148)
        other.add_tcp_reader(7148)
        with (
            send.UdpStream(None, [("localhost", 7148)], send.StreamConfig(rate=1)) as udp,
            send.TcpStream(None, [("localhost", 7148)], send.StreamConfig(rate=1)) as tcp,
        ):
            udp.send_heap(heap_of(), 1)
            tcp.send_heap(heap_of(), 2)
        assert cnts(stream, 1) == [1]
        assert [heap.cnt for heap in other] == [2]


async def test_the_fixture_redirects_asyncio(spead_inproc: Redirection) -> None:
    assert spead_inproc.text == "udp->inproc,tcp->inproc"
    with recv.Stream() as stream:
        stream.add_tcp_reader(7148)
        async with await send.asyncio.TcpStream.connect(None, [("localhost", 7148)]) as sender:
            await sender.async_send_heap(heap_of(), 1)
        assert cnts(stream, 1) == [1]
