"""Which heaps are in which chunks: the same packets through this package and through spead2."""

from __future__ import annotations

from typing import Any, Final

import pytest
import scipy

from ..interop.common import PACKAGES
from ..wire import immediate
from .common import PLACE, Circuit, bytes_of, heap, present_in

#: Name, packets, options.
SCENARIOS: Final[dict[str, tuple[list[bytes], dict[str, Any]]]] = {
    "two chunks": ([heap(1, 0, 0), heap(2, 0, 1), heap(3, 1, 0)], {}),
    "the first heap opens the chunks before its own": ([heap(1, 5)], {}),
    "as many as the window holds": ([heap(1, 5)], {"max_chunks": 4}),
    "but none with a negative number": ([heap(1, 1)], {"max_chunks": 4}),
    "older chunks of the window are filled": ([heap(1, 5), heap(2, 3), heap(3, 4, 1)], {"max_chunks": 4}),
    "a heap before the window is too old": ([heap(1, 5), heap(2, 1)], {"max_chunks": 4}),
    "chunks come in order": ([heap(1, 0), heap(2, 1), heap(3, 0, 1), heap(4, 2), heap(5, 1, 1), heap(6, 0, 2)], {}),
    "a gap is filled with empty chunks": ([heap(1, 0), heap(2, 2)], {}),
    "a gap of a window": ([heap(1, 0), heap(2, 3)], {}),
    "a gap within a window": ([heap(1, 0), heap(2, 3)], {"max_chunks": 4}),
    "a large gap is not": ([heap(1, 0), heap(2, 100)], {}),
    "only one chunk": ([heap(1, 0), heap(2, 1), heap(3, 0, 1)], {"max_chunks": 1}),
    "a heap without the items": ([heap(1, None)], {}),
    "a heap without the items among others": ([heap(1, 5), heap(2, None), heap(3, 5, 1)], {}),
    "an incomplete heap": ([heap(1, 0, 0, size=8), heap(2, 0, 1)], {}),
    "a heap that is complete too late": (
        [heap(1, 0, 0, size=8), heap(2, 1, 1), heap(3, 2, 1), heap(1, 0, 0, size=8, offset=8)],
        {},
    ),
    "a heap without length": ([heap(1, 0, 0, size=8, length=None), heap(2, 0, 1)], {}),
    "a heap that comes twice": ([heap(1, 0), heap(1, 0)], {}),
    "packets that are present": (
        [heap(1, 0, 0, size=8), heap(2, 0, 2), heap(3, 0, 1, size=8, offset=8)],
        {"presence": 8, "allow_out_of_order": True},
    ),
    "heaps of two packets": (
        [heap(cnt, cnt // 4, cnt % 4, size=8, offset=offset) for cnt in range(8) for offset in (0, 8)],
        {},
    ),
    "interleaved heaps": (
        [heap(cnt, 0, cnt, size=8, offset=offset) for offset in (0, 8) for cnt in range(4)],
        {},
    ),
    "more interleaved heaps than max_heaps": (
        [heap(cnt, 0, cnt, size=8, offset=offset) for offset in (0, 8) for cnt in range(4)],
        {"max_heaps": 2},
    ),
    "the stop item": ([heap(1, 0), heap(2, 0, 1, extra=[immediate(6, 2)]), heap(3, 0, 2)], {}),
    "of several items with one id": ([heap(1, 3, extra=[immediate(0x1001, 4)])], {}),
}


def outcome(package: Any, packets: list[bytes], options: dict[str, Any]) -> tuple[list[Any], dict[str, int]]:
    place = scipy.LowLevelCallable(PLACE, signature="void (void *, size_t)")
    with Circuit(place, package, **options) as circuit:
        chunks = [(chunk.chunk_id, chunk.stream_id, present_in(chunk)) for chunk in circuit.run(packets)]
        stats = {name: circuit.stream.stats[name] for name in ("heaps", "too_old_heaps", "rejected_heaps")}
        stats["lost"] = (
            circuit.stream.stats["incomplete_heaps_evicted"] + circuit.stream.stats["incomplete_heaps_flushed"]
        )
    return chunks, stats


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_chunks_are_those_of_spead2(scenario: str) -> None:
    packets, options = SCENARIOS[scenario]
    ours, theirs = (outcome(package, packets, options | {"stream_id": 5}) for package in PACKAGES.values())
    assert ours == theirs


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_present_heaps_have_their_payload(scenario: str) -> None:
    packets, options = SCENARIOS[scenario]
    place = scipy.LowLevelCallable(PLACE, signature="void (void *, size_t)")
    payload = {(word.chunk, word.index): word.cnt for word in map(Sent.of, packets)}
    with Circuit(place, **options) as circuit:
        for chunk in circuit.run(packets):
            for index, (present, byte) in enumerate(zip(present_in(chunk), bytes_of(chunk), strict=True)):
                if present and not options.get("presence"):
                    assert byte == payload[chunk.chunk_id, index]


class Sent:
    """What a packet made by :func:`heap` says."""

    def __init__(self, cnt: int, chunk: int, index: int) -> None:
        self.cnt, self.chunk, self.index = cnt, chunk, index

    @classmethod
    def of(cls, data: bytes) -> Sent:
        words = [int.from_bytes(data[at : at + 8], "big") for at in range(8, 8 + 8 * data[7], 8)]
        values = {word >> 40 & 0x7FFFFF: word & (1 << 40) - 1 for word in words}
        return cls(values[1], values.get(0x1001, -1), values.get(0x1002, -1))
