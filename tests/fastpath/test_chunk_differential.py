"""Both engines put the same heaps to the same places in chunks, and count the same, whatever arrives and wherever to.

The Python engine is the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spead_transport import recv
from spead_transport.engine.selection import ENVIRONMENT_VARIABLE
from spead_transport.protocol.batch import PacketBatch
from spead_transport.recv import ChunkLayout, HeapsToPlace
from spead_transport.transport import EventReadiness

from ..chunks.common import CHUNK, HEAP_SIZE, INDEX, LAYOUT, Circuit, heap, placed_by
from ..wire import addressed, immediate, raw_packet

pytest.importorskip("spead_transport_fastpath")

#: For each chunk its number, memory and what is present; and the statistics.
_Outcome: TypeAlias = tuple[list[tuple[int, bytes, bytes, bytes]], dict[str, int]]
#: They tell how packets arrived, which is not the stream's doing, and how it searched for heaps.
_NOT_COMPARED = ("batches", "max_batch", "search_dist", "worker_blocked")


def _vectorised(heaps: HeapsToPlace) -> None:
    """Places with extra data and statistics, some of which are outside of the chunk."""
    heaps.chunk_id[:] = heaps.items[:, 0]
    heaps.heap_index[:] = heaps.items[:, 1] - 1
    heaps.heap_offset[:] = heaps.heap_index * HEAP_SIZE
    heaps.extra[:] = heaps.items[:, 2:3] & 0xFF
    heaps.extra_offset[:] = heaps.items[:, 1]
    heaps.extra_size[:] = heaps.items[:, 2] % 4
    first = len(heaps.batch_stats) - 2
    heaps.batch_stats[first] += np.uint64(len(heaps))
    heaps.batch_stats[first + 1] = max(0, int(heaps.items[:, 2].max()))


def _one_by_one(data: Any) -> None:
    """The same, for a callback with the C signature."""
    data.chunk_id = data.items[0]
    data.heap_index = (data.items[1] - 1) & (1 << 64) - 1
    data.heap_offset = data.heap_index * HEAP_SIZE & (1 << 64) - 1
    for position in range(2):
        data.extra[position] = data.items[2] & 0xFF
    data.extra_offset = data.items[1] & (1 << 64) - 1
    data.extra_size = data.items[2] % 4


_PLACES: dict[str, Callable[[], Any]] = {
    "layout": lambda: LAYOUT,
    "vectorised": lambda: _vectorised,
    "compiled": lambda: placed_by(_one_by_one),
}


@st.composite
def _hostile(draw: st.DrawFn) -> bytes:
    """Bytes that are almost a packet."""
    anything = st.integers(0, 40) | st.integers(0, 2**40 - 1)
    ids = st.integers(0, 7) | st.sampled_from([CHUNK, INDEX])
    words = draw(st.lists(st.builds(immediate, ids, anything) | st.builds(addressed, ids, anything), max_size=9))
    return raw_packet(words, draw(st.binary(max_size=24)))


_PACKETS = st.lists(
    st.builds(
        heap,
        st.integers(1, 12),
        st.none() | st.integers(0, 6),
        st.integers(0, 5),
        offset=st.sampled_from([0, 0, 8]),
        size=st.sampled_from([8, 8, 16]),
        length=st.sampled_from([16, 16, 16, 24, None]),
        extra=st.sampled_from([(), (), (immediate(6, 2),), (immediate(CHUNK, 2),)]),
    )
    | _hostile(),
    max_size=30,
)


def _outcome(engine: str, packets: list[bytes], place: str, cut: int, options: dict[str, Any]) -> _Outcome:
    config = recv.StreamConfig(**{name: options[name] for name in ("max_heaps", "allow_out_of_order")})
    # How much is taken in after a stop item depends on how many packets are received at a time.
    config.stop_on_stop_item = cut == 0
    config.add_stat("heaps_placed")
    config.add_stat("largest", recv.StreamStatConfig.Mode.MAXIMUM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_VARIABLE, engine)
        with Circuit(
            _PLACES[place](),
            config=config,
            free=40,
            items=(CHUNK, INDEX, 1),
            max_chunks=options["max_chunks"],
            presence=options["presence"],
            max_heap_extra=3,
            chunk=lambda: recv.Chunk(data=bytearray(64), present=bytearray(b"\7" * 6), extra=bytearray(8)),
        ) as circuit:
            for part in (packets[:cut], packets[cut:]):
                circuit.queue.offer(PacketBatch.of(part), EventReadiness())
            circuit.queue.stop()
            circuit.start()
            chunks = [
                (chunk.chunk_id, bytes(chunk.data), bytes(chunk.present), bytes(chunk.extra))
                for chunk in circuit.data
            ]
            stats = dict(circuit.stream.stats)
    return chunks, {name: value for name, value in stats.items() if name not in _NOT_COMPARED}


@settings(max_examples=60, deadline=None)
@given(
    packets=_PACKETS,
    place=st.sampled_from(sorted(_PLACES)),
    cut=st.just(0) | st.integers(0, 30),
    options=st.fixed_dictionaries(
        {
            "max_heaps": st.integers(1, 4),
            "max_chunks": st.integers(1, 3),
            "presence": st.sampled_from([0, 0, 8]),
            "allow_out_of_order": st.booleans(),
        }
    ),
)
def test_chunks_agree(packets: list[bytes], place: str, cut: int, options: dict[str, Any]) -> None:
    assert _outcome("native", packets, place, cut, options) == _outcome("python", packets, place, cut, options)


# ------------------------------------------------------------------------------------------------------ expressions

_NUMBERS = st.integers(-3, 70) | st.integers(-(2**63) + 1, 2**63 - 1)


def _expressions() -> st.SearchStrategy[str]:
    leaves = st.sampled_from(["a", "b", "heap_length"]) | _NUMBERS.map(lambda number: f"({number})")
    binary = st.sampled_from(["+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^", "==", "!=", "<", "<=", ">", ">="])
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(lambda left, operator, right: f"({left} {operator} {right})", inner, binary, inner)
            | st.builds(lambda operator, operand: f"({operator}{operand})", st.sampled_from(["-", "~", "+"]), inner)
            | st.builds(lambda first, test, second: f"({first} if {test} else {second})", inner, inner, inner)
        ),
        max_leaves=12,
    )


@settings(max_examples=150, deadline=None)
@given(expression=_expressions(), a=st.integers(0, 2**40 - 1) | st.integers(0, 70), b=st.integers(0, 70))
def test_expressions_agree(expression: str, a: int, b: int) -> None:
    """What an expression gives is seen by the number of the chunk; the window of the stream follows it."""
    layout = ChunkLayout(items={"a": CHUNK, "b": INDEX}, chunk_id=f"({expression}) & {2**62 - 1}")
    packets = [heap(1, a, b)]
    results = []
    for engine in ("native", "python"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(ENVIRONMENT_VARIABLE, engine)
            with Circuit(layout, free=1, max_chunks=1) as circuit:
                chunks = [chunk.chunk_id for chunk in circuit.run(packets)]
                results.append((chunks, circuit.stream.stats["rejected_heaps"]))
    assert results[0] == results[1]
