"""Heaps get their numbers: the last check before they go out."""

from __future__ import annotations

import errno
import threading
from typing import Final

import attrs

from .send_config import HeapReference, HeapReferenceList
from .validators import positive_int, unsigned

__all__ = ["CntSequence", "NumberedHeap", "number_heaps"]

#: Wider than any heap cnt.
_WRAP: Final = 1 << 64


@attrs.frozen
class NumberedHeap:
    """A heap on its way out, with its final number."""

    reference: HeapReference
    cnt: int


class CntSequence:
    """The numbers of heaps that come without one. Methods may be called from any thread."""

    __slots__ = ("_lock", "state")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The next number and the step from each to the one after it, modulo 2⁶⁴. An engine may take numbers itself,
        #: if it replaces the pair in one go and nobody calls :meth:`take`.
        self.state: tuple[int, int] = (1, 1)

    def set(self, next: int, step: int) -> None:
        """Go on with `next`, ``next + step`` …

        Raises
        ------
        ValueError
            If `step` is 0.
        TypeError
            If a number is negative or no integer.
        """
        sequence = unsigned(next, "next") % _WRAP, positive_int(step, "step") % _WRAP
        with self._lock:
            self.state = sequence

    def take(self, count: int) -> tuple[int, int]:
        """The first of the next `count` numbers, modulo 2⁶⁴, and the step from each to the one after it, likewise.

        Whoever uses them reduces them to the width of the heap's flavour.
        """
        with self._lock:
            first, step = taken = self.state
            self.state = (first + count * step) % _WRAP, step
            return taken


def number_heaps(
    heaps: HeapReferenceList, sequence: CntSequence, num_substreams: int, keeps_rate: bool
) -> list[NumberedHeap]:
    """Check heaps that are to be sent, and give them their numbers.

    Parameters
    ----------
    heaps
        The heaps.
    sequence
        Where those without a number get one.
    num_substreams
        How many destinations there are.
    keeps_rate
        Whether the heaps' rates mean anything to the transport; if not, they are left out.

    Raises
    ------
    OSError
        If there are none, or a heap cnt or substream index is out of range (``EINVAL``). No number is used up.
    """
    if not len(heaps):
        raise OSError(errno.EINVAL, "there are no heaps to send")
    unnumbered = 0
    for reference in heaps:
        if not 0 <= reference.substream_index < num_substreams:
            raise OSError(
                errno.EINVAL,
                f"substream_index {reference.substream_index} is out of range: there are {num_substreams} substreams",
            )
        flavour = reference.heap.flavour
        if reference.cnt > flavour.address_mask:
            bits = flavour.heap_address_bits
            raise OSError(errno.EINVAL, f"heap cnt {reference.cnt} does not fit the flavour's {bits} bits")
        unnumbered += reference.cnt < 0
    cnt, step = sequence.take(unnumbered)
    numbered: list[NumberedHeap] = []
    for reference in heaps:
        heap, given, index = reference.heap, reference.cnt, reference.substream_index
        # The caller may change the reference while the heap is under way.
        rate = reference.rate if keeps_rate else -1.0
        kept = HeapReference(heap, cnt=given, substream_index=index, rate=rate)
        numbered.append(NumberedHeap(kept, given if given >= 0 else cnt & heap.flavour.address_mask))
        if given < 0:
            cnt += step
    return numbered
