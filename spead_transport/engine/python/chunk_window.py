"""The chunks that are being filled, by one stream or by a group of them.

The chunks of a window have consecutive numbers, and leave it in their order. Each member has a window of its own in
it: a heap for an earlier chunk comes too late. One lock, which the members' runners hold while they work, guards a
window and its members.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import attrs

from ...errors import Stopped
from ...protocol.batch import Bytes
from ..chunks import Chunk, ChunkRingCore

__all__ = ["Blocked", "OpenChunk", "Window", "WindowMember"]


class _Tenant(Protocol):
    """A heap on its way into a chunk."""

    memory: Bytes | None


@attrs.define(eq=False)
class OpenChunk:
    """A chunk that is being filled."""

    chunk: Chunk
    data: Bytes
    present: Bytes
    extra: Bytes
    #: Heaps that are not complete yet. When the chunk leaves, they lose their memory, which is the user's then.
    tenants: set[_Tenant] = attrs.field(factory=set)
    is_open: bool = True


class WindowMember:
    """A stream's part in a window; made by :meth:`Window.join`. For its runner only, with the lock held.

    Parameters
    ----------
    window
        The window.
    stream_id
        What ``Chunk.stream_id`` is to be in chunks that this member begins.
    max_chunks
        Size of the member's own window.
    resume
        Called when :meth:`find` may succeed after it had to wait: from any thread, perhaps with the lock held. It
        must not block.
    """

    def __init__(self, window: Window, stream_id: int, max_chunks: int, resume: Callable[[], None]) -> None:
        self._window = window
        self.stream_id = stream_id
        self.resume = resume
        self._max_chunks = max_chunks
        #: The first chunk that is not too old, and one past the latest that the stream had a heap for.
        self.head: int = 0
        self.tail: int = 0

    def find(self, chunk_id: int) -> OpenChunk | None:
        """The chunk with a number, which is not negative; ``None`` if it is too old.

        Raises
        ------
        Blocked
            If it is not there yet and there is no free chunk, no room for older chunks in the data ring, or another
            member to wait for. ``resume`` will be called.
        Stopped
            If one of the rings was stopped.
        """
        if chunk_id < self.head:
            return None
        if chunk_id >= self.tail:
            self.tail = chunk_id + 1
            self.head = max(self.head, self.tail - self._max_chunks)
            self._window._wake()
        return self._window._find(self, chunk_id)

    def leave(self) -> None:
        """The stream has ended: nobody waits for it any more."""
        self._window._leave(self)


class Blocked(Exception):  # noqa: N818 - not an error
    """A member has to wait."""


class Window:
    """Takes free chunks, and gives those that are filled to the user.

    Parameters
    ----------
    max_chunks
        How many chunks are in the window at most.
    data_ring
        Where filled chunks go.
    free_ring
        Where free chunks come from.
    lossless
        Whether a member that is ahead waits for the others, rather than they lose what is behind.
    """

    def __init__(
        self, max_chunks: int, data_ring: ChunkRingCore, free_ring: ChunkRingCore, *, lossless: bool
    ) -> None:
        # Reentrant, because a stream that is garbage may be stopped in the thread that holds the lock.
        self.lock: threading.RLock = threading.RLock()
        self.data_ring = data_ring
        self.free_ring = free_ring
        self._max_chunks = max_chunks
        self._lossless = lossless
        self._chunks: dict[int, OpenChunk] = {}
        self._tail = 0
        self._members: list[WindowMember] = []
        self._waiting: list[WindowMember] = []
        self._began = False
        data_ring.add_producer()

    @property
    def began(self) -> bool:
        """Whether chunks have been taken from the free ring."""
        return self._began

    def join(self, stream_id: int, max_chunks: int, resume: Callable[[], None]) -> WindowMember:
        """Take part in filling chunks."""
        with self.lock:
            member = WindowMember(self, stream_id, max_chunks, resume)
            self._members.append(member)
            return member

    def close(self) -> None:
        """For a window that nobody has joined: nothing will come of it."""
        with self.lock:
            self.data_ring.remove_producer()

    # ----------------------------------------------------------------------------------------- with the lock held

    def _find(self, member: WindowMember, chunk_id: int) -> OpenChunk | None:
        self._release_passed(member)
        if chunk_id >= self._tail:
            self._make_room(member, chunk_id)
        return self._chunks.get(chunk_id)

    def _make_room(self, member: WindowMember, chunk_id: int) -> None:
        """Open chunks up to `chunk_id`, after the oldest have left."""
        first = max(0, chunk_id + 1 - self._max_chunks)
        behind = [other for other in self._members if other.head < first]
        if behind and self._lossless:
            self._waiting.append(member)
            raise Blocked
        for other in behind:
            other.head = first
            other.tail = max(other.tail, first)
        self._release_passed(member)
        self._tail = max(self._tail, first)
        while self._tail <= chunk_id:
            chunk = self.free_ring.request(member.resume)
            if chunk is None:
                raise Blocked
            self._open(chunk, member.stream_id)

    def _open(self, chunk: Chunk, stream_id: int) -> None:
        self._began = True
        chunk.chunk_id = self._tail
        chunk.stream_id = stream_id
        opened = OpenChunk(chunk, *chunk.memory())
        opened.present[:] = 0
        self._chunks[self._tail] = opened
        self._tail += 1

    def _release_passed(self, member: WindowMember) -> None:
        """Give away the chunks that all members have passed."""
        head = min(other.head for other in self._members)
        while self._chunks:
            oldest = next(iter(self._chunks))
            if oldest >= head:
                return
            if not self.data_ring.offer(self._chunks[oldest].chunk, member.resume):
                raise Blocked
            _close(self._chunks.pop(oldest))

    def _wake(self) -> None:
        """Somebody has gone on: those who wait may look again."""
        waiting, self._waiting = self._waiting, []
        for member in waiting:
            member.resume()

    def _leave(self, member: WindowMember) -> None:
        self._members.remove(member)
        if member in self._waiting:
            self._waiting.remove(member)
        for ring in (self.data_ring, self.free_ring):
            ring.forget(member.resume)
        self._wake()
        if self._members:
            try:
                self._release_passed(self._members[0])
            except (Blocked, Stopped):
                pass  # the other members will see to it
        else:
            last = list(self._chunks.values())
            self._chunks.clear()
            for opened in last:
                _close(opened)
            self.data_ring.put_last([opened.chunk for opened in last])
            self.data_ring.remove_producer()


def _close(opened: OpenChunk) -> None:
    """Take the chunk's memory away from heaps that are not complete: it is the user's."""
    opened.is_open = False
    for tenant in opened.tenants:
        tenant.memory = None
    opened.tenants.clear()
