"""Queues do what a list would, whatever is done to them."""

from __future__ import annotations

from collections import deque

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from spead_transport_inproc import InprocQueue, InprocReceiver, InprocSender

from spead_transport.errors import EndOfStream, Full, Stopped, TransportError
from spead_transport.transport import PacketBatch

from .helpers import batch, bytes_of

PACKETS = st.lists(st.binary(max_size=12), max_size=8)


class QueueMachine(RuleBasedStateMachine):
    """A queue that receivers share, next to a deque that follows its documentation."""

    @initialize(
        max_packets=st.none() | st.integers(1, 6),
        max_bytes=st.none() | st.integers(12, 40),
        policy=st.sampled_from(["block", "error", "drop-oldest"]),
    )
    def start(self, max_packets: int | None, max_bytes: int | None, policy: str) -> None:
        self.max_packets = max_packets
        self.max_bytes = max_bytes
        self.policy = policy
        self.queue = InprocQueue(max_packets=max_packets, max_bytes=max_bytes, policy=policy)  # type: ignore[arg-type]
        self.sender = InprocSender([self.queue])
        self.receivers = [InprocReceiver(self.queue)]
        self.model: deque[bytes] = deque()
        self.stopped = False
        self.dropped = self.sent = self.received = 0

    def teardown(self) -> None:
        if hasattr(self, "sender"):
            self.sender.close()
            for receiver in self.receivers:
                receiver.close()

    def fits(self, packet: bytes) -> bool:
        packets = self.max_packets is None or len(self.model) < self.max_packets
        return packets and (self.max_bytes is None or sum(map(len, self.model)) + len(packet) <= self.max_bytes)

    def accept(self, packet: bytes) -> bool:
        """Add a packet to the model; False if it has no room."""
        while self.policy == "drop-oldest" and not self.fits(packet):
            self.model.popleft()
            self.dropped += 1
        if not self.fits(packet):
            return False
        self.model.append(packet)
        self.sent += 1
        return True

    @rule(packet=st.binary(max_size=12))
    def add_packet(self, packet: bytes) -> None:
        try:
            self.queue.add_packet(packet, timeout=0)
        except Stopped:
            assert self.stopped
        except Full:
            assert not self.fits(packet)
            assert self.policy != "drop-oldest"
        else:
            assert not self.stopped
            assert self.accept(packet)

    @rule(packets=PACKETS, spread=st.booleans())
    def send(self, packets: list[bytes], spread: bool) -> None:
        rest = _spread(packets) if spread else batch(*packets)
        while len(rest):
            try:
                taken = self.sender.try_send(rest)
            except TransportError:
                assert self.stopped or (self.policy == "error" and not self.fits(bytes_of(rest)[0]))
                return
            if taken == 0:
                assert self.policy == "block"
                assert not self.fits(bytes_of(rest)[0])
                self.sender.writable.wait(0)  # may tell of earlier room, once
                assert not self.sender.writable.wait(0)
                return
            for packet in bytes_of(rest[:taken]):
                assert self.accept(packet)
            rest = rest[taken:]

    @rule(limit=st.integers(1, 10), which=st.integers(0, 2))
    def receive(self, limit: int, which: int) -> None:
        receiver = self.receivers[which % len(self.receivers)]
        try:
            packets = bytes_of(receiver.try_recv(limit))
        except EndOfStream:
            assert self.stopped
            assert not self.model
            return
        assert packets or not (self.model or self.stopped)
        assert len(packets) <= limit
        assert packets == [self.model.popleft() for _ in packets]
        self.received += len(packets)

    @precondition(lambda self: len(self.receivers) < 3)
    @rule()
    def another_receiver(self) -> None:
        self.receivers.append(InprocReceiver(self.queue))

    @precondition(lambda self: len(self.receivers) > 1)
    @rule(which=st.integers(0, 2))
    def one_receiver_less(self, which: int) -> None:
        self.receivers.pop(which % len(self.receivers)).close()

    @precondition(lambda self: not self.stopped)
    @rule()
    def stop(self) -> None:
        self.queue.stop()
        self.stopped = True

    @invariant()
    def nothing_is_lost_in_silence(self) -> None:
        if not hasattr(self, "queue"):
            return
        statistics = self.queue.statistics()
        assert statistics.packets_waiting == len(self.model)
        assert statistics.bytes_waiting == sum(map(len, self.model))
        assert statistics.packets_in == self.sent
        assert statistics.packets_out == self.received
        assert statistics.packets_dropped == self.dropped
        assert self.sent == self.received + self.dropped + len(self.model)

    @invariant()
    def the_readiness_is_never_late(self) -> None:
        if hasattr(self, "queue") and (self.model or self.stopped):
            assert all(receiver.readable.wait(0) for receiver in self.receivers)
            if self.stopped:
                assert self.sender.writable.wait(0)


def _spread(packets: list[bytes]) -> PacketBatch:
    """The packets as a sender's batch has them: heads and bodies apart, the bodies in blocks of any size."""
    block = b"".join(packets)
    whole = batch(*packets)
    heads = [packet[: len(packet) // 2] for packet in packets]
    bodies = [packet[len(packet) // 2 :] for packet in packets]
    head_part, body_part = PacketBatch.of(heads), PacketBatch.of(bodies)
    cut = len(body_part.heads) // 3
    assert whole.nbytes == len(block)
    return PacketBatch(
        head_part.heads,
        head_part.head_offsets,
        head_part.head_sizes,
        (body_part.heads[:cut], body_part.heads[cut:]),
        body_part.head_offsets,
        body_part.head_sizes,
    )


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestQueue = QueueMachine.TestCase


@settings(max_examples=40, deadline=None)
@given(
    actions=st.lists(
        st.one_of(PACKETS, st.sampled_from(["open", "close", "take"])),
        max_size=25,
    )
)
def test_fan_out_gives_everything_to_everybody(actions: list[list[bytes] | str]) -> None:
    """Each receiver gets what was sent while it was open; the first also what was sent before."""
    queue = InprocQueue(mode="fanout")
    backlog: list[bytes] = []
    opened: list[tuple[InprocReceiver, list[bytes]]] = []
    with InprocSender([queue]) as sender:
        for action in actions:
            if action == "open":
                opened.append((InprocReceiver(queue), backlog))
                backlog = []
            elif action == "close" and opened:
                opened.pop(0)[0].close()
            elif action == "take" and opened:
                receiver, expected = opened[-1]
                got = bytes_of(receiver.try_recv(3))
                assert got == expected[: len(got)]
                assert got or not expected
                del expected[: len(got)]
            elif isinstance(action, list):
                sender.try_send(batch(*action))
                for _, expected in opened:
                    expected.extend(action)
                if not opened:
                    backlog.extend(action)
    queue.stop()
    for receiver, expected in opened:
        with receiver:
            while expected:
                got = bytes_of(receiver.try_recv(100))
                assert got == expected[: len(got)]
                del expected[: len(got)]
