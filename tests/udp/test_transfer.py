"""Packets over real sockets."""

from __future__ import annotations

import socket

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spead_transport_udp import Endpoints, UdpConfig, UdpTransport

from spead_transport.errors import ClosedError, TransportError
from spead_transport.transport import CONTRACT_VERSION, PacketBatch, transport_from_url

from .links import GROUP, each_family, link, no_more, port_of, receive, send_all

OFF = UdpConfig(gso=False, gro=False)
offloads = pytest.mark.parametrize(
    ("sending", "receiving"),
    [(UdpConfig(), UdpConfig()), (OFF, UdpConfig()), (UdpConfig(), OFF), (OFF, OFF)],
    ids=["gso-gro", "gro", "gso", "plain"],
)


@st.composite
def batches(draw: st.DrawFn) -> PacketBatch:
    """Batches of any layout: heads in any order, bodies in several blocks, with gaps, overlaps and empty packets."""
    count = draw(st.integers(0, 40))
    uniform = draw(st.booleans())
    blocks = draw(st.lists(st.integers(0, 3000), max_size=4))
    total, heads = sum(blocks), draw(st.integers(0, 500))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def offsets_and_sizes(length: int, largest: int) -> tuple[np.ndarray, np.ndarray]:
        largest = min(length, largest)
        one = generator.integers(0, largest + 1)
        sizes = np.full(count, one) if uniform else generator.integers(0, largest + 1, count)
        offsets = np.array([generator.integers(0, length - size + 1) for size in sizes], np.int64)
        return (np.sort(offsets) if uniform else offsets), sizes.astype(np.int64)

    return PacketBatch(
        generator.integers(0, 256, heads, dtype=np.uint8),
        *offsets_and_sizes(heads, 60),
        tuple(generator.integers(0, 256, size, dtype=np.uint8) for size in blocks),
        *offsets_and_sizes(total, 2000),
    )


@offloads
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_batch_arrives_as_it_was_sent(sending: UdpConfig, receiving: UdpConfig, data: st.DataObject) -> None:
    with link("127.0.0.1", receiving, sending) as (sender, receiver):
        for _ in range(3):
            batch = data.draw(batches())
            send_all(sender, batch)
            assert receive(receiver, len(batch), limit=7) == [packet.tobytes() for packet in batch.packets()]
        assert no_more(receiver)
        assert receiver.drops() == {"kernel": 0, "truncated": 0}


@each_family
@offloads
def test_large_heap(host: str, sending: UdpConfig, receiving: UdpConfig) -> None:
    """Packets as a heap's are: equal sizes, a shorter last one, headers apart from one block of payload."""
    count, header, payload = 705, 48, 1424
    sizes = np.full(count, payload)
    sizes[-1] = 100
    body = np.random.default_rng(1).integers(0, 256, int(sizes.sum()), dtype=np.uint8)
    heads = np.arange(count * header).astype(np.uint8)
    batch = PacketBatch(
        heads,
        np.arange(count) * header,
        np.full(count, header),
        (body,),
        np.arange(count) * payload,
        sizes,
    )
    with link(host, receiving, sending) as (sender, receiver):
        send_all(sender, batch)
        assert receive(receiver, count, limit=1024) == [packet.tobytes() for packet in batch.packets()]
        assert no_more(receiver)


@each_family
@pytest.mark.parametrize("gso", [True, False])
def test_sizes_from_empty_to_largest(host: str, gso: bool) -> None:
    packets = [bytes([index % 251] * size) for index, size in enumerate([0, 1, 7, 8, 1472, 0, 0, 9000, 65507, 65507])]
    with link(host, UdpConfig(max_packet_size=65507), UdpConfig(gso=gso)) as (sender, receiver):
        assert UdpTransport.capabilities.largest_packet == 65507
        send_all(sender, PacketBatch.of(packets))
        assert receive(receiver, len(packets)) == packets


def test_limit_is_kept_by_single_packets() -> None:
    packets = [bytes([index]) for index in range(20)]
    with link("127.0.0.1", OFF, OFF) as (sender, receiver):
        send_all(sender, PacketBatch.of(packets))
        assert receiver.readable.wait(10)
        assert len(receiver.try_recv(3)) == 3
        assert receive(receiver, 17, limit=1) == packets[3:]


def test_more_than_a_block_at_once() -> None:
    packets = [bytes([index]) * 60000 for index in range(40)]
    with link("127.0.0.1", UdpConfig(max_packet_size=65507)) as (sender, receiver):
        send_all(sender, PacketBatch.of(packets))
        assert receive(receiver, 40, limit=1000) == packets


def test_nothing_there_is_an_empty_batch() -> None:
    with link("127.0.0.1") as (sender, receiver):
        assert not receiver.readable.wait(0)
        assert len(receiver.try_recv(10)) == 0
        assert sender.try_send(PacketBatch.of([])) == 0
        assert sender.writable.wait(0)


# ---------------------------------------------------------------------------------------- several endpoints, senders


@pytest.mark.parametrize("gso", [True, False])
def test_destinations_are_separate(gso: bool) -> None:
    anywhere = transport_from_url("udp://127.0.0.1:0")
    with anywhere.open_receiver() as one, anywhere.open_receiver() as other:
        endpoints = Endpoints.parse([("127.0.0.1", port_of(one)), ("127.0.0.1", port_of(other))])
        with UdpTransport(UdpConfig(endpoints=endpoints, gso=gso)).open_sender() as sender:
            assert sender.num_destinations == 2
            for index in (1, 0, 1):
                send_all(sender, PacketBatch.of([bytes([index])] * 5, destination=index))
            assert receive(one, 5) == [b"\0"] * 5
            assert receive(other, 10) == [b"\1"] * 10
            for index in (-1, 2):
                with pytest.raises(ValueError, match=rf"no destination {index}, only 0 to 1"):
                    sender.try_send(PacketBatch.of([b"x"], destination=index))


def test_receiver_at_several_endpoints_lets_none_starve() -> None:
    with transport_from_url("udp://127.0.0.1+3:0?gro=no").open_receiver() as receiver:
        endpoints = UdpConfig.from_url(receiver.url).endpoints
        assert [endpoint.host for endpoint in endpoints] == [f"127.0.0.{index}" for index in range(1, 5)]
        with UdpTransport(UdpConfig(endpoints=endpoints)).open_sender() as sender:
            for index in range(4):
                send_all(sender, PacketBatch.of([bytes([index])] * 300, destination=index))
            first = [packet[0] for packet in receive(receiver, 256, limit=256)]
            assert {first.count(index) for index in range(4)} == {64}
            rest = [packet[0] for packet in receive(receiver, 4 * 300 - 256)]
            assert all((first + rest).count(index) == 300 for index in range(4))
            assert receiver.drops()["kernel"] == 0


def test_several_senders() -> None:
    with transport_from_url("udp://127.0.0.1:0").open_receiver() as receiver:
        transport = transport_from_url(receiver.url)
        with transport.open_sender() as one, transport.open_sender() as other:
            send_all(one, PacketBatch.of([b"one"] * 3))
            send_all(other, PacketBatch.of([b"other"] * 3))
            assert sorted(receive(receiver, 6)) == [b"one"] * 3 + [b"other"] * 3


def test_sender_may_be_there_before_its_receiver() -> None:
    """Packets for nobody are lost; the sender goes on, although the system says that nobody is there."""
    with transport_from_url("udp://127.0.0.1:0").open_receiver() as receiver:
        port = port_of(receiver)
    with transport_from_url(f"udp://127.0.0.1:{port}").open_sender() as sender:
        for _ in range(3):
            assert sender.try_send(PacketBatch.of([b"lost"] * 3)) == 3
        with transport_from_url(f"udp://127.0.0.1:{port}").open_receiver() as receiver:
            assert sender.try_send(PacketBatch.of([b"found"])) == 1
            assert receive(receiver, 1) == [b"found"]


# ------------------------------------------------------------------------------------------------------ what is lost


@offloads
def test_packets_that_are_too_large_are_counted_and_never_cut(sending: UdpConfig, receiving: UdpConfig) -> None:
    with link("127.0.0.1", attrs.evolve(receiving, max_packet_size=100), sending) as (sender, receiver):
        send_all(sender, PacketBatch.of([bytes(101)] * 5 + [b"a" * 100] * 5 + [bytes(9000)] + [b"end"]))
        assert receive(receiver, 6) == [b"a" * 100] * 5 + [b"end"]
        assert receiver.drops() == {"kernel": 0, "truncated": 6}
    assert receiver.drops() == {"kernel": 0, "truncated": 6}


@pytest.mark.parametrize("gro", [True, False])
def test_packets_lost_by_the_kernel_are_counted(gro: bool) -> None:
    with link("127.0.0.1", UdpConfig(buffer_size=20000, gro=gro), UdpConfig(gso=False)) as (sender, receiver):
        for _ in range(100):
            send_all(sender, PacketBatch.of([bytes(1000)]))
        before = receiver.drops()["kernel"]
        assert before > 0
        assert len(receive(receiver, 100 - before)) == 100 - before
        assert no_more(receiver)
        assert receiver.drops()["kernel"] == before
    assert receiver.drops()["kernel"] == before


# ---------------------------------------------------------------------------------------------------------- multicast


def group_url(port: int = 0, options: str = "") -> str:
    return f"udp://{GROUP}:{port}?interface=127.0.0.1{options}"


def test_every_receiver_of_a_group_gets_every_packet() -> None:
    with transport_from_url(group_url()).open_receiver() as one:
        again = transport_from_url(group_url(port_of(one)))
        with again.open_receiver() as other, again.open_sender() as sender:
            send_all(sender, PacketBatch.of([b"for", b"all"]))
            assert receive(one, 2) == receive(other, 2) == [b"for", b"all"]


def test_groups_on_one_port_are_separate() -> None:
    with transport_from_url(group_url()).open_receiver() as one:
        port = port_of(one)
        two_groups = transport_from_url(f"udp://239.192.7.149+1:{port}?interface=lo")
        three_groups = transport_from_url(f"udp://{GROUP}+2:{port}?interface=lo")
        with two_groups.open_receiver() as other, three_groups.open_sender() as sender:
            for index in range(3):
                send_all(sender, PacketBatch.of([bytes([index])], destination=index))
            assert sorted(receive(other, 2)) == [b"\1", b"\2"]
            assert receive(one, 1) == [b"\0"]
            assert no_more(one)
            assert no_more(other)


def _ipv6_multicast_interface() -> str | None:
    """An interface that carries IPv6 multicast; the loopback interface most often does not."""
    for number, _ in socket.if_nameindex():
        transport = transport_from_url(f"udp://[ff12::7148]:9?interface={number}")
        try:
            with transport.open_sender() as sender:
                sender.try_send(PacketBatch.of([b"probe"]))
        except TransportError:
            continue
        return str(number)
    return None


def test_ipv6_groups() -> None:
    """Link-local ones, whose addresses are complete with their interface only."""
    number = _ipv6_multicast_interface()
    if number is None:
        pytest.skip("no network interface of this machine carries IPv6 multicast")
    with transport_from_url(f"udp://[ff12::7148]+1:0?interface={number}").open_receiver() as receiver:
        endpoints = UdpConfig.from_url(receiver.url).endpoints
        assert [endpoint.host for endpoint in endpoints] == [f"ff12::7148%{number}", f"ff12::7149%{number}"]
        with transport_from_url(receiver.url).open_sender() as sender:
            for index in range(2):
                send_all(sender, PacketBatch.of([bytes([index])] * 3, destination=index))
            assert sorted(receive(receiver, 6)) == [b"\0"] * 3 + [b"\1"] * 3


def test_packets_need_not_come_back_to_the_sender() -> None:
    """A group's packets reach receivers of this machine only if its senders want that."""
    for number, name in socket.if_nameindex():
        if name == "lo":  # where there is no other way for packets to go
            continue
        try:
            with transport_from_url(f"udp://{GROUP}:0?interface={number}").open_receiver() as receiver:
                to = f"udp://{GROUP}:{port_of(receiver)}?interface={number}"
                with transport_from_url(f"{to}&loop=no").open_sender() as sender:
                    send_all(sender, PacketBatch.of([b"for others"]))
                with transport_from_url(to).open_sender() as sender:
                    send_all(sender, PacketBatch.of([b"for all"]))
                if receiver.readable.wait(1):
                    assert receive(receiver, 1) == [b"for all"]
                    assert no_more(receiver)
                    return
        except TransportError:
            continue
    pytest.skip("no network interface of this machine but the loopback one carries multicast")


def test_only_the_sources_asked_for_are_received() -> None:
    with transport_from_url(group_url(0, "&source=127.0.0.2,127.0.0.3")).open_receiver() as receiver:
        port = port_of(receiver)
        for source in ("127.0.0.4", "127.0.0.3", "127.0.0.2"):
            with transport_from_url(f"udp://{GROUP}:{port}?interface=lo&bind={source}").open_sender() as sender:
                send_all(sender, PacketBatch.of([source.encode()]))
        assert receive(receiver, 2) == [b"127.0.0.3", b"127.0.0.2"]
        assert no_more(receiver)


# ----------------------------------------------------------------------------------------------------------- contract


def test_endpoints_keep_the_contract() -> None:
    assert UdpTransport.contract == CONTRACT_VERSION
    with link("127.0.0.1") as (sender, receiver):
        assert sender.writable is sender.writable
        assert receiver.readable is receiver.readable
        assert sender.capabilities == receiver.capabilities == UdpTransport.capabilities
    assert sender.closed
    assert receiver.closed
    sender.close()
    receiver.close()
    with pytest.raises(ClosedError):
        sender.try_send(PacketBatch.of([b"x"]))
    with pytest.raises(ClosedError):
        receiver.try_recv(1)
