"""Packets in flight, many at a time.

A batch keeps the packets' headers and their payload apart, each in large blocks with offsets into them, so that
neither vectorised Python nor native code needs a step per packet to move it. Packet ``i`` consists of a *head*
followed by a *body*::

    heads[head_offsets[i] : head_offsets[i] + head_sizes[i]]
    the bytes body_offsets[i] : body_offsets[i] + body_sizes[i] of all `bodies` laid end to end

A sender's batch has the SPEAD header as the head and the user's own arrays as the bodies. A received batch may be
cut anywhere as long as the whole SPEAD header is in the head; most often the head is the whole packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

__all__ = ["BufferLike", "Bytes", "Offsets", "PacketBatch", "as_bytes"]

#: Anything with the buffer protocol (which type checkers see in NumPy's arrays from Python 3.12 on only).
BufferLike: TypeAlias = Buffer | npt.NDArray[np.generic]

#: One-dimensional ``uint8``.
Bytes: TypeAlias = npt.NDArray[np.uint8]
#: One-dimensional ``int64``: offsets or sizes, in bytes.
Offsets: TypeAlias = npt.NDArray[np.int64]

_NO_BYTES: Bytes = np.zeros(0, np.uint8)


def _zeros(batch: PacketBatch) -> Offsets:
    return np.zeros(len(batch.head_offsets), np.int64)


_ZEROS: Final = attrs.Factory(_zeros, takes_self=True)


def as_bytes(buffer: BufferLike) -> Bytes:
    """A flat view, without a copy, of any C-contiguous buffer.

    Raises
    ------
    ValueError
        If `buffer` is not contiguous.
    """
    if not isinstance(buffer, np.ndarray):
        memory = memoryview(buffer)
        if not memory.c_contiguous:
            raise ValueError("a packet must be a contiguous buffer")
        return np.frombuffer(memory, np.uint8) if memory.nbytes else _NO_BYTES
    if not buffer.flags.c_contiguous:
        raise ValueError("a packet must be a contiguous buffer")
    return buffer.reshape(-1).view(np.uint8)


@attrs.frozen(eq=False)
class PacketBatch:
    """``len(batch)`` packets for, or from, one destination. See the module's text for the layout.

    Parameters
    ----------
    heads
        Block that holds the heads.
    head_offsets, head_sizes
        Where each head starts in `heads`, and how long it is.
    bodies
        Blocks that hold the bodies. A body may reach from one block into the next.
    body_offsets, body_sizes
        Where each body starts, counted through all of `bodies`, and how long it is.
    destination
        Index of the sender's destination (the substream).
    adoptable
        Whether a receiver may keep `bodies` for good and write to them: nobody else uses that memory.
    """

    heads: Bytes
    head_offsets: Offsets
    head_sizes: Offsets
    bodies: tuple[Bytes, ...] = ()
    body_offsets: Offsets = attrs.field(default=_ZEROS)
    body_sizes: Offsets = attrs.field(default=_ZEROS)
    destination: int = 0
    adoptable: bool = False

    @classmethod
    def of(cls, packets: Iterable[BufferLike], destination: int = 0) -> PacketBatch:
        """A batch of whole packets, for simple transports. The bytes are copied.

        Raises
        ------
        ValueError
            If a packet is not a contiguous buffer.
        """
        views = [as_bytes(packet) for packet in packets]
        sizes = np.array([len(view) for view in views], np.int64)
        block = np.concatenate(views) if views else _NO_BYTES
        return cls(block, _starts(sizes), sizes, destination=destination)

    @classmethod
    def strided(cls, block: Bytes, stride: int) -> PacketBatch:
        """A block cut into packets of `stride` bytes (what ``UDP_GRO`` delivers); the last may be shorter.

        The block is referenced, not copied. `stride` must be positive.
        """
        offsets = np.arange(0, len(block), stride, dtype=np.int64)
        return cls(block, offsets, np.minimum(stride, len(block) - offsets))

    @classmethod
    def concatenate(cls, batches: Iterable[PacketBatch]) -> PacketBatch:
        """One batch of all packets of `batches` (at least one), in order, for the first one's destination.

        Heads are copied into one block, bodies are referenced.
        """
        parts = list(batches)
        if len(parts) == 1:
            return parts[0]
        head_sizes = np.cumsum([0, *(len(part.heads) for part in parts)])
        body_sizes = np.cumsum([0, *(sum(map(len, part.bodies)) for part in parts)])
        return cls(
            np.concatenate([part.heads for part in parts]),
            np.concatenate([part.head_offsets + start for part, start in zip(parts, head_sizes, strict=False)]),
            np.concatenate([part.head_sizes for part in parts]),
            tuple(body for part in parts for body in part.bodies),
            np.concatenate([part.body_offsets + start for part, start in zip(parts, body_sizes, strict=False)]),
            np.concatenate([part.body_sizes for part in parts]),
            destination=parts[0].destination,
            adoptable=all(part.adoptable for part in parts),
        )

    def __len__(self) -> int:
        """Number of packets."""
        return len(self.head_offsets)

    def __getitem__(self, index: slice) -> PacketBatch:
        """Some of the packets, in the same blocks."""
        return self.take(index)

    def take(self, index: slice | npt.NDArray[np.int64]) -> PacketBatch:
        """Some of the packets, in the same blocks, in the order of `index`."""
        return attrs.evolve(
            self,
            head_offsets=self.head_offsets[index],
            head_sizes=self.head_sizes[index],
            body_offsets=self.body_offsets[index],
            body_sizes=self.body_sizes[index],
        )

    @cached_property
    def sizes(self) -> Offsets:
        """Size of each packet, in bytes."""
        return self.head_sizes + self.body_sizes

    @cached_property
    def nbytes(self) -> int:
        """Size of all packets together, in bytes."""
        return int(self.sizes.sum())

    def packets(self) -> Iterator[Bytes]:
        """Each packet as one block: a view where it lies in one piece, else a copy."""
        starts = self._body_starts()
        for head_at, head_size, body_at, body_size in zip(
            self.head_offsets.tolist(),
            self.head_sizes.tolist(),
            self.body_offsets.tolist(),
            self.body_sizes.tolist(),
            strict=True,
        ):
            head = self.heads[head_at : head_at + head_size]
            if body_size:
                yield np.concatenate((head, *self._pieces(starts, body_at, body_size)))
            else:
                yield head

    def buffers(self) -> list[memoryview]:
        """All bytes of all packets in order, without a copy: a gather list for ``sendmsg(2)`` or ``writev(2)``.

        Packets that lie back to back in one block are one buffer.
        """
        if not self.body_sizes.any():
            ends = self.head_offsets + self.head_sizes
            if np.array_equal(self.head_offsets[1:], ends[:-1]):
                return [self.heads.data[int(self.head_offsets[0]) : int(ends[-1])]] if len(self) else []
        found: list[memoryview] = []
        heads = self.heads.data
        starts = self._body_starts()
        for head_at, head_size, body_at, body_size in zip(
            self.head_offsets.tolist(),
            self.head_sizes.tolist(),
            self.body_offsets.tolist(),
            self.body_sizes.tolist(),
            strict=True,
        ):
            found.append(heads[head_at : head_at + head_size])
            if len(self.bodies) == 1:
                found.append(self.bodies[0].data[body_at : body_at + body_size])
            else:
                found += (piece.data for piece in self._pieces(starts, body_at, body_size))
        return found

    def copy(self) -> PacketBatch:
        """The same packets in memory of their own, for transports that keep them after ``try_send`` returned.

        Blocks are copied whole, once each, unless the batch uses only a small part of them.
        """
        if len(self.heads) + sum(map(len, self.bodies)) > 2 * self.nbytes:
            return self.flatten()
        bodies = (np.concatenate(self.bodies),) if self.bodies else ()
        return attrs.evolve(self, heads=self.heads.copy(), bodies=bodies, adoptable=True)

    def flatten(self, into: Bytes | None = None) -> PacketBatch:
        """The same packets back to back in one block, with empty bodies: what goes on a wire in one piece.

        Parameters
        ----------
        into
            Memory to use for the block, instead of new memory.

        Raises
        ------
        ValueError
            If `into` is smaller than :attr:`nbytes`.
        """
        sizes = self.sizes
        at = _starts(sizes)
        nbytes = int(sizes.sum())
        if into is not None and len(into) < nbytes:
            raise ValueError(f"{nbytes} bytes of packets do not fit a block of {len(into)} bytes")
        block = np.empty(nbytes, np.uint8) if into is None else into[:nbytes]
        scatter(block, at, self.heads, self.head_offsets, self.head_sizes)
        self._scatter_bodies(block, at + self.head_sizes)
        return PacketBatch(block, at, sizes, destination=self.destination, adoptable=into is None)

    def _body_starts(self) -> Offsets:
        """Where each of `bodies` starts when they are laid end to end, and where the last one ends."""
        return np.cumsum([0, *map(len, self.bodies)])

    def _pieces(self, starts: Offsets, offset: int, size: int) -> Iterator[Bytes]:
        """The parts of `bodies` that make up a body."""
        index = int(np.searchsorted(starts, offset, "right")) - 1
        while size > 0:
            start = offset - int(starts[index])
            piece = self.bodies[index][start : start + size]
            yield piece
            offset += len(piece)
            size -= len(piece)
            index += 1

    def _span(self, starts: Offsets, low: int, high: int) -> Bytes:
        """The bytes ``[low, high)`` of all `bodies` laid end to end, as one block: a view if they lie in one."""
        first = int(np.searchsorted(starts, low, "right")) - 1
        last = int(np.searchsorted(starts, high, "left")) - 1
        start, end = low - int(starts[first]), high - int(starts[last])
        if first == last:
            return self.bodies[first][start:end]
        return np.concatenate((self.bodies[first][start:], *self.bodies[first + 1 : last], self.bodies[last][:end]))

    def _scatter_bodies(self, target: Bytes, at: Offsets) -> None:
        """Copy each packet's body to ``target[at:]``."""
        if len(self.bodies) == 1:
            scatter(target, at, self.bodies[0], self.body_offsets, self.body_sizes)
            return
        some = self.body_sizes > 0
        if not some.any():
            return
        starts = self._body_starts()
        low = int(self.body_offsets[some].min())
        high = int((self.body_offsets + self.body_sizes)[some].max())
        if high - low <= 2 * int(self.body_sizes.sum()):
            # Many small blocks are cheaper to join, at one more copy, than to take one by one.
            scatter(target, at, self._span(starts, low, high), self.body_offsets - low, self.body_sizes)
            return
        first = np.searchsorted(starts, self.body_offsets, "right") - 1
        last = np.searchsorted(starts, self.body_offsets + self.body_sizes - 1, "right") - 1
        for index in np.unique(first[some]).tolist():
            rows = np.flatnonzero(some & (first == index) & (last == index))
            scatter(
                target, at[rows], self.bodies[index], self.body_offsets[rows] - starts[index], self.body_sizes[rows]
            )
        for row in np.flatnonzero(some & (first != last)).tolist():
            body = np.concatenate([*self._pieces(starts, int(self.body_offsets[row]), int(self.body_sizes[row]))])
            target[at[row] : at[row] + len(body)] = body


def _starts(sizes: Offsets) -> Offsets:
    starts = np.zeros(len(sizes), np.int64)
    np.cumsum(sizes[:-1], out=starts[1:])
    return starts


def scatter(target: Bytes, at: Offsets, source: Bytes, start: Offsets, size: Offsets) -> None:
    """Copy ``source[start : start + size]`` to ``target[at:]``, for each of the arrays' elements.

    Neighbours of equal size at equal distances, which is what a heap's packets are, move in one strided copy.
    """
    for first, last in uniform_runs(at, start, size):
        count, width = last - first, int(size[first])
        if count == 1:
            target[at[first] : at[first] + width] = source[start[first] : start[first] + width]
        elif width:
            strided_rows(target, int(at[first]), int(at[first + 1] - at[first]), count, width)[...] = strided_rows(
                source, int(start[first]), int(start[first + 1] - start[first]), count, width
            )


def uniform_runs(at: Offsets, start: Offsets, size: Offsets) -> Iterator[tuple[int, int]]:
    """Cut the packets into runs ``[first, last)`` with one size, one distance in `at` and one in `start`."""
    count = len(size)
    if count < 2:
        yield from [(0, count)] * count
        return
    # Differences are taken by hand, which for a batch's few packets takes a third of the time of np.diff.
    step_at, step_start = at[1:] - at[:-1], start[1:] - start[:-1]
    breaks = size[1:] != size[:-1]
    breaks[1:] |= step_at[1:] != step_at[:-1]
    breaks[1:] |= step_start[1:] != step_start[:-1]
    # A negative distance (round-robin interleaving) has no strided view that this module would want to make.
    breaks |= (step_at < 0) | (step_start < 0)
    first = 0
    for cut in np.flatnonzero(breaks).tolist():
        yield first, cut + 1
        first = cut + 1
    yield first, count


def strided_rows(block: Bytes, start: int, stride: int, count: int, width: int) -> Bytes:
    """View of `count` rows of `width` bytes, `stride` bytes apart, as a two-dimensional array; bounds checked."""
    return np.ndarray((count, width), np.uint8, block, start, (stride, 1))
