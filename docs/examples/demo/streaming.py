"""The streams of the demonstration: one receives what anybody sends, the other sends too, over any transport."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

import attrs
import numpy as np

import spead_transport as spead
from spead_transport import recv, send
from spead_transport.transport import transport_from_url

from . import digitiser
from .digitiser import Reading

__all__ = ["RING", "Outcome", "Settings", "Watch", "receive", "stream"]

#: Told of each reading that arrived.
Watch: TypeAlias = Callable[[Reading], None]

#: How long a heap may take, in seconds. When none comes for so long the stream has ended: the packet that says so may
#: be lost.
_PATIENCE: Final = 5.0
#: Heaps that may wait for this program while it does something else, so that none is lost meanwhile.
RING: Final = recv.RingStreamConfig(heaps=64)


@attrs.frozen
class Settings:
    """How to send."""

    #: Bytes, SPEAD header included.
    packet_size: int
    #: Bytes per second, for transports that lose what comes too fast.
    rate: float


@attrs.define
class Outcome:
    """What became of a stream."""

    transport: str
    #: Heaps that were sent.
    expected: int
    #: Heaps that arrived, and how many of those are not what was sent.
    heaps: int = 0
    wrong: int = 0
    #: Bytes of samples in the heaps that arrived, and the time from the first to the last of them.
    nbytes: int = 0
    seconds: float = 0.0
    #: Heaps and packets that did not arrive, counted by reason.
    losses: Counter[str] = attrs.field(factory=Counter)

    @property
    def exact(self) -> bool:
        """Whether every heap arrived, bit by bit."""
        return self.heaps == self.expected and self.wrong == 0

    @property
    def rate(self) -> float:
        """Bytes of samples per second."""
        return self.nbytes / self.seconds if self.seconds else 0.0


def stream(
    sender_url: str, receiver_url: str, readings: Sequence[Reading], settings: Settings, watch: Watch
) -> Outcome:
    """Send readings from one end of a transport and receive them at the other, whatever transport it is."""
    with (
        spead.open_receiver(receiver_url, ring_config=RING) as receiver,
        spead.open_sender(sender_url, config=_sender_config(sender_url, settings)) as sender,
        ThreadPoolExecutor(1) as executor,
    ):
        sending = executor.submit(_send, sender, readings)
        try:
            outcome = receive(receiver, readings, watch)
        except BaseException:
            sender.close()  # ends the other thread
            raise
        sending.result()
        return outcome


def _sender_config(url: str, settings: Settings) -> send.StreamConfig:
    """Transports that push back need no limit; those that lose packets instead do."""
    lossy = transport_from_url(url).capabilities.lossy
    return send.StreamConfig(max_packet_size=settings.packet_size, rate=settings.rate if lossy else 0.0)


def _send(sender: send.SyncStream, readings: Sequence[Reading]) -> None:
    group = send.ItemGroup(digitiser.DESCRIPTOR_FREQUENCY, spead.Flavour(4, 64, digitiser.HEAP_ADDRESS_BITS))
    digitiser.describe(group)
    for reading in readings:
        for name, value in reading.values.items():
            group[name].value = value
        sender.send_heap(group.get_heap(data="all"), timeout=_PATIENCE)
    sender.send_heap(group.get_end(), timeout=_PATIENCE)


def receive(receiver: recv.Stream, readings: Sequence[Reading], watch: Watch) -> Outcome:
    """Receive readings until the stream ends, and compare each with what was sent."""
    sent = {reading.timestamp: reading for reading in readings}
    outcome = Outcome(receiver.urls[0].partition("?")[0], len(readings))
    group = spead.ItemGroup()
    first = last = 0.0
    try:
        while True:
            heap = receiver.get(timeout=_PATIENCE)
            last = time.monotonic()
            first = first or last
            group.update(heap)
            if "timestamp" not in group:
                outcome.losses["heaps before the first descriptors"] += 1
                continue
            received = _reading(group)
            outcome.heaps += 1
            outcome.nbytes += received.nbytes
            outcome.wrong += not _same(received, sent.pop(received.timestamp, None), group)
            watch(received)
    except spead.Stopped:
        pass
    except spead.Empty:
        outcome.losses["stop heap"] += 1
    outcome.seconds = last - first
    outcome.losses += _losses(receiver)
    return outcome


def _reading(group: spead.ItemGroup) -> Reading:
    samples = {polarisation.name: group[polarisation.name].value for polarisation in digitiser.POLARISATIONS}
    return Reading(int(group["timestamp"].value), samples)


def _same(received: Reading, sent: Reading | None, group: spead.ItemGroup) -> bool:
    return (
        sent is not None
        and group["digitiser_id"].value == digitiser.DIGITISER_ID
        and all(
            received.samples[name].dtype == samples.dtype and np.array_equal(received.samples[name], samples)
            for name, samples in sent.samples.items()
        )
    )


def _losses(receiver: recv.Stream) -> Counter[str]:
    """What the stream and its transport counted, except the packets that were used."""
    stats = receiver.stats
    counts = Counter({f"packets dropped by {reason}": count for reason, count in receiver.drops().items()})
    counts["incomplete heaps"] = stats["incomplete_heaps_evicted"] + stats["incomplete_heaps_flushed"]
    counts.update({name.replace("_", " "): count for name, count in stats.items() if name.startswith("rejected_")})
    return +counts
