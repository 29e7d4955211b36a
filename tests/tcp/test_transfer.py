"""Bytes on connections: written in parts, held up, cut short, broken, and hostile."""

from __future__ import annotations

import errno
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spead_transport.errors import BrokenTransportError
from spead_transport.protocol.constants import HEAP_CNT_ID, HEAP_LENGTH_ID, PAYLOAD_LENGTH_ID, PAYLOAD_OFFSET_ID
from spead_transport.testing.packets import bytes_of, make_batch

from ..exchange import PATIENCE, receive, receive_to_end, running, send_all, send_and_close
from ..wire import immediate, raw_packet
from .links import connect, connect_raw, listen, raw_peer, read_to_end, reset

BATCH = make_batch([100, 200, 300])
PACKETS = bytes_of(BATCH)


# ----------------------------------------------------------------------------------------------------------- sending


@pytest.mark.parametrize(
    "sizes", [[60] * 20_000, [1472] * 2000, [9000] * 300, [1_000_000] * 4, [40, 60_000, 41] * 50]
)
def test_small_buffers(sizes: list[int]) -> None:
    batch = make_batch(sizes)
    with raw_peer(buffer_size=4608) as (sender, peer), running(lambda: send_and_close(sender, batch)):
        assert read_to_end(peer) == b"".join(bytes_of(batch))


def test_nothing_lies_between_packets() -> None:
    with raw_peer() as (sender, peer):
        send_all(sender, BATCH)
        sender.close()
        assert read_to_end(peer) == b"".join(PACKETS)


def test_a_sender_is_held_up() -> None:
    batch = make_batch([3000] * 2000)
    with raw_peer(buffer_size=4608) as (sender, peer):
        rest = batch
        while sender.writable.wait(0.05):
            rest = rest[sender.try_send(rest) :]
        assert 0 < len(rest) < len(batch)
        assert sender.try_send(rest) == 0
        with running(lambda: send_and_close(sender, rest)):
            assert read_to_end(peer) == b"".join(bytes_of(batch))


def test_a_packet_that_was_given_up_does_not_disturb_the_next() -> None:
    large = make_batch([1_000_000])
    with raw_peer(buffer_size=4608) as (sender, peer):
        assert sender.try_send(large) == 0
        with running(lambda: send_and_close(sender, BATCH)):
            assert read_to_end(peer) == b"".join([*bytes_of(large), *PACKETS])


def test_a_receiver_that_was_closed() -> None:
    with raw_peer() as (sender, peer):
        reset(peer)
        assert sender.writable.wait(PATIENCE)
        for _ in range(3):
            with pytest.raises(BrokenTransportError, match="cannot send") as caught:
                sender.try_send(BATCH)
            assert caught.value.errno == errno.ECONNRESET
            assert caught.value.hint


def test_there_is_one_destination() -> None:
    with raw_peer() as (sender, _):
        assert sender.num_destinations == 1


# --------------------------------------------------------------------------------------------------------- receiving


def test_a_receiver_is_not_asked_and_loses_nothing() -> None:
    batch = make_batch([3000] * 2000)
    with listen(buffer_size=4608) as receiver, connect(receiver, buffer_size=4608) as sender:
        rest = batch
        while sender.writable.wait(0.05):
            rest = rest[sender.try_send(rest) :]
        assert len(rest) > 0
        with running(lambda: send_and_close(sender, rest)):
            assert receive_to_end(receiver) == bytes_of(batch)


@pytest.mark.parametrize("step", [1, 7, 39, 100])
def test_packets_that_come_in_small_pieces(step: int) -> None:
    data = b"".join(PACKETS)
    with listen() as receiver, connect_raw(receiver) as peer:
        packets: list[bytes] = []
        for start in range(0, len(data), step):
            peer.sendall(data[start : start + step])
            assert receiver.readable.wait(PATIENCE)
            packets += bytes_of(receiver.try_recv(10))
        while len(packets) < 3:
            packets += receive(receiver, 1)
        assert packets == PACKETS


def test_a_connection_that_is_cut_short() -> None:
    with listen() as receiver:
        with connect_raw(receiver) as peer:
            peer.sendall(PACKETS[0] + PACKETS[1][:50])
        assert receive_to_end(receiver) == [PACKETS[0], PACKETS[1][:50]]


def test_a_connection_that_breaks() -> None:
    with listen() as receiver:
        peer = connect_raw(receiver)
        peer.sendall(PACKETS[0] + PACKETS[1][:50])
        assert receive(receiver, 1) == [PACKETS[0]]
        reset(peer)
        assert receive(receiver, 1) == [PACKETS[1][:50]]
        for _ in range(2):
            with pytest.raises(BrokenTransportError, match="the connection from 127") as caught:
                receive(receiver, 1)
            assert caught.value.errno == errno.ECONNRESET


def test_a_connection_that_breaks_does_not_disturb_the_others(caplog: pytest.LogCaptureFixture) -> None:
    with listen(connections=2) as receiver, connect(receiver) as sender:
        peer = connect_raw(receiver)
        peer.sendall(PACKETS[0])
        assert receive(receiver, 1) == [PACKETS[0]]
        reset(peer)
        assert receiver.readable.wait(PATIENCE)
        assert len(receiver.try_recv(1)) == 0
        assert "broke" in caplog.text
        send_all(sender, BATCH)
        assert receive(receiver, 3) == PACKETS
        sender.close()
        with pytest.raises(BrokenTransportError, match="broke"):
            receive(receiver, 1)


def test_reading_goes_on_behind_junk() -> None:
    with listen() as receiver, connect_raw(receiver) as peer:
        peer.sendall(b"junkjunk" * 3 + b"odd" + PACKETS[0])
        assert receive(receiver, 5) == [*[b"junkjunk"] * 3, b"odd", PACKETS[0]]


def claims() -> list[bytes]:
    """Headers that claim packets larger than anybody wants to wait for."""
    mandatory = [immediate(HEAP_CNT_ID, 1), immediate(HEAP_LENGTH_ID, 1 << 38), immediate(PAYLOAD_OFFSET_ID, 0)]
    return [
        raw_packet([*mandatory, immediate(PAYLOAD_LENGTH_ID, 1 << 38)]),
        raw_packet([immediate(PAYLOAD_LENGTH_ID, (1 << 56) - 1, 56)], bits=56),
        struct.pack(">BBBBHH", 0x53, 4, 3, 5, 0, 0xFFFF),
    ]


@pytest.mark.parametrize("claim", claims())
def test_a_claim_is_not_waited_for(claim: bytes) -> None:
    with listen() as receiver, connect_raw(receiver) as peer:
        peer.sendall(claim + PACKETS[0])
        assert receive(receiver, len(claim) // 8 + 1)[-1] == PACKETS[0]


def test_packets_too_large_are_skipped_with_the_packets_in_them() -> None:
    large = raw_packet([immediate(PAYLOAD_LENGTH_ID, 100 * len(PACKETS[0]))], PACKETS[0] * 100)
    with listen(max_packet_size=1000) as receiver, connect_raw(receiver) as peer:
        peer.sendall(large + PACKETS[1])
        assert receive(receiver, 2) == [large[:8], PACKETS[1]]


def test_memory_stays_bounded() -> None:
    junk = np.random.default_rng(1).bytes(1 << 16)
    claim = claims()[0]
    with listen() as receiver, connect_raw(receiver) as peer:
        tracemalloc.start()
        try:
            for _ in range(20):
                peer.sendall(claim + junk)
                receive(receiver, 1)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4 << 20


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=300))
def test_any_bytes_are_handed_out(junk: bytes) -> None:
    with listen() as receiver:
        with connect_raw(receiver) as peer:
            peer.sendall(junk)
        assert b"".join(receive_to_end(receiver)) == junk
