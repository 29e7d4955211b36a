"""Both engines make the same of the same packets, hostile ones included, and the same packets of the same heaps.

The Python engine is the reference. Packets are made to get in each other's way: few heaps, few sizes, lies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spead_transport.engine import get_engine
from spead_transport.engine.interface import NumberedHeap, ReceivedHeap
from spead_transport.engine.recv_config import RingStreamConfig, StreamConfig
from spead_transport.engine.send_config import GroupMode, HeapReference
from spead_transport.engine.send_config import StreamConfig as SendConfig
from spead_transport.protocol.batch import PacketBatch
from spead_transport.protocol.flavour import Flavour
from spead_transport.protocol.received import Heap
from spead_transport.send import Heap as SendHeap
from spead_transport.transport import Capabilities

from ..wire import addressed, immediate, raw_packet

pytest.importorskip("spead_transport_fastpath")

#: What an assembler did with some batches: a description of each heap, the counters, whether it stopped.
_Outcome: TypeAlias = tuple[list[object], dict[str, int], bool]
_CAPABILITIES = Capabilities(lossy=False, ordered=True, reach="process")

# ------------------------------------------------------------------------------------------------------- assembling


@st.composite
def _honest_packet(draw: st.DrawFn) -> bytes:
    """A packet that may well be valid, of one of very few heaps."""
    bits = draw(st.sampled_from([40, 40, 40, 48]))
    payload = draw(st.binary(max_size=1)) * draw(st.sampled_from([0, 1, 8, 8, 16, 40]))
    words = [
        immediate(1, draw(st.integers(1, 5)), bits),
        immediate(3, draw(st.sampled_from([0, 0, 8, 8, 16, 24, 32])), bits),
        immediate(4, len(payload), bits),
    ]
    length = draw(st.sampled_from([None, 0, 1, 8, 16, 24, 40, 40, 1 << 20]))
    if length is not None:
        words.insert(draw(st.integers(0, 3)), immediate(2, length, bits))
    words += draw(
        st.lists(
            st.one_of(
                st.builds(addressed, st.integers(5, 9), st.integers(0, 50), st.just(bits)),
                st.builds(immediate, st.integers(5, 9), st.integers(0, 3), st.just(bits)),
            ),
            max_size=7,
        )
    )
    return raw_packet(words, payload, bits)


@st.composite
def _packets_of_a_heap(draw: st.DrawFn) -> list[bytes]:
    """A heap's packets, as a sender makes them."""
    bits = draw(st.sampled_from([40, 48]))
    size = draw(st.sampled_from([8, 16, 24]))
    length = size * draw(st.integers(1, 4))
    cnt = draw(st.integers(1, 20))
    sized = draw(st.booleans())
    result = []
    for offset in range(0, length, size):
        words = [immediate(1, cnt, bits), immediate(3, offset, bits), immediate(4, size, bits)]
        if sized:
            words.insert(1, immediate(2, length, bits))
        if offset == 0:
            words.append(addressed(0x1000, 0, bits))
        result.append(raw_packet(words, bytes([offset + 1]) * size, bits))
    return result


@st.composite
def _damaged_packet(draw: st.DrawFn) -> bytes:
    """A packet with wrong bytes, or cut off."""
    data = bytearray(draw(_honest_packet()))
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.sampled_from([len(data), len(data), len(data) - 1, 8, 7]))])


_SOME_PACKETS = st.one_of(
    _packets_of_a_heap(),
    st.builds(lambda packet: [packet], _honest_packet()),
    st.builds(lambda packet: [packet], _damaged_packet()),
    st.builds(lambda data: [data], st.binary(max_size=80)),
    st.builds(lambda word: [struct.pack(">Q", word)], st.integers(0, (1 << 64) - 1)),
)
_CONFIGS = st.builds(
    StreamConfig,
    max_heaps=st.integers(1, 4),
    substreams=st.integers(1, 3),
    stop_on_stop_item=st.booleans(),
    allow_unsized_heaps=st.booleans(),
    allow_out_of_order=st.booleans(),
    sequential_heaps=st.booleans(),
    max_heap_size=st.sampled_from([20, 40, 100, 1 << 30]),
)


def _describe(heap: ReceivedHeap) -> object:
    common = (heap.cnt, heap.flavour, heap.pointers.tolist())
    if isinstance(heap, Heap):
        return "whole", *common, heap.payload.tobytes(), heap.payload.flags.writeable
    return "incomplete", *common, heap.heap_length, heap.received_length, heap.payload_ranges


def _assemble(engine: str, batches: Sequence[PacketBatch], config: StreamConfig, keep_ranges: bool) -> _Outcome:
    assembler = get_engine(engine).assembler(config, RingStreamConfig(incomplete_keep_payload_ranges=keep_ranges))
    heaps: list[object] = []
    for batch in batches:
        heaps += [_describe(heap) for heap in assembler.add(batch, 0.0)]
    stopped = assembler.stopped
    heaps += [_describe(heap) for heap in assembler.flush()]
    return heaps, dict(assembler.stats()), stopped


def _split(batch: PacketBatch, cut: int) -> PacketBatch:
    """The same packets with everything from byte `cut` of each on in the bodies."""
    packets = [packet.tobytes() for packet in batch.packets()]
    heads, bodies = [p[:cut] for p in packets], [p[cut:] for p in packets]

    def starts(parts: list[bytes]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.cumsum([0, *map(len, parts)])[:-1].astype(np.int64)

    sizes = [np.array([len(part) for part in parts], np.int64) for parts in (heads, bodies)]
    blocks = [np.frombuffer(bytearray(b"".join(parts)), np.uint8) for parts in (heads, bodies)]
    return PacketBatch(
        blocks[0], starts(heads), sizes[0], (blocks[1],), starts(bodies), sizes[1], adoptable=cut % 2 == 0
    )


@settings(max_examples=200, deadline=None)
@given(
    batches=st.lists(st.lists(_SOME_PACKETS, max_size=6), min_size=1, max_size=4),
    shuffle=st.randoms(use_true_random=False) | st.none(),
    cut=st.none() | st.sampled_from([0, 7, 8, 40, 48, 56]),
    config=_CONFIGS,
    keep_ranges=st.booleans(),
)
def test_assemblers_agree(
    batches: list[list[list[bytes]]],
    shuffle: object,
    cut: int | None,
    config: StreamConfig,
    keep_ranges: bool,
) -> None:
    packed: list[PacketBatch] = []
    for groups in batches:
        packets = [packet for group in groups for packet in group]
        if shuffle is not None:
            shuffle.shuffle(packets)  # type: ignore[attr-defined]
        batch = PacketBatch.of(packets)
        packed.append(batch if cut is None else _split(batch, cut))
    copies = [attrs.evolve(batch, bodies=tuple(body.copy() for body in batch.bodies)) for batch in packed]
    assert _assemble("native", packed, config, keep_ranges) == _assemble("python", copies, config, keep_ranges)


# --------------------------------------------------------------------------------------------------------- encoding


@attrs.frozen
class _Item:
    id: int
    value: bytes
    immediate: bool

    def allow_immediate(self) -> bool:
        return self.immediate

    def to_buffer(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        return np.frombuffer(self.value, np.uint8)


_SIZES = st.one_of(st.integers(0, 40), st.sampled_from([511, 512, 513, 1000, 5000]))


@st.composite
def _heaps(draw: st.DrawFn) -> SendHeap:
    heap = SendHeap(Flavour(4, 64, draw(st.sampled_from([24, 40, 48]))))
    heap.repeat_pointers = draw(st.booleans())
    for number in range(draw(st.integers(0, 12))):
        value = bytes([number + 1]) * draw(_SIZES)
        heap.add_item(_Item(0x100 + number, value, draw(st.booleans())))
    return heap


def _bytes_of(batches: Iterator[tuple[PacketBatch, float]]) -> list[tuple[int, float, bytes]]:
    return [(batch.destination, rate, packet.tobytes()) for batch, rate in batches for packet in batch.packets()]


@settings(max_examples=150, deadline=None)
@given(
    heaps=st.lists(_heaps(), min_size=1, max_size=4),
    data=st.data(),
    max_packet_size=st.sampled_from([48, 56, 64, 100, 200, 1472, 9000]),
    mode=st.sampled_from(GroupMode),
    rate=st.sampled_from([0.0, 1e6]),
    burst_size=st.sampled_from([1, 1000, 65536]),
)
def test_encoders_agree(
    heaps: list[SendHeap], data: st.DataObject, max_packet_size: int, mode: GroupMode, rate: float, burst_size: int
) -> None:
    numbered = [
        NumberedHeap(
            HeapReference(
                heap, substream_index=data.draw(st.integers(0, 2)), rate=data.draw(st.sampled_from([-1, 0]))
            ),
            data.draw(st.integers(0, 1 << 20)),
        )
        for heap in heaps
    ]
    config = SendConfig(max_packet_size=max_packet_size, rate=rate, burst_size=burst_size)
    results: list[object] = []
    for engine in ("native", "python"):
        encoder = get_engine(engine).encoder(config, _CAPABILITIES)
        try:
            results.append(_bytes_of(encoder.encode(numbered, mode)))
        except ValueError as error:
            results.append(str(error))
    assert results[0] == results[1]
