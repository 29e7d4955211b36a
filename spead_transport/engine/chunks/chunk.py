"""A chunk: memory for many heaps."""

from __future__ import annotations

import numpy as np

from ...protocol.batch import BufferLike, Bytes, as_bytes
from ..validators import integer

__all__ = ["Chunk"]

_NO_BYTES: Bytes = np.zeros(0, np.uint8)


class Chunk:
    """Memory in which a stream puts heaps together. It goes round: free, being filled, given to the user, and free
    again. It may be subclassed; the object that is added is the one that comes back.

    Parameters
    ----------
    chunk_id
        Number of the chunk, which the stream sets; -1 until then.
    stream_id
        The ``stream_id`` of the stream that filled it, which the stream sets.
    data
        Memory for the payload of the heaps: any contiguous, writable buffer.
    present
        A byte for each heap, or each packet, of the chunk, which the stream sets to 1 when that has arrived.
    extra
        Memory for what the placement has to say about each heap, if it has.

    Raises
    ------
    BufferError
        If a buffer cannot be written to.
    ValueError
        If a buffer is not contiguous.
    """

    def __init__(
        self,
        *,
        chunk_id: int = -1,
        stream_id: int = 0,
        data: BufferLike | None = None,
        present: BufferLike | None = None,
        extra: BufferLike | None = None,
    ) -> None:
        self.chunk_id: int = integer(chunk_id, "chunk_id")
        self.stream_id: int = integer(stream_id, "stream_id")
        self.data = data
        self.present = present
        self.extra = extra

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.chunk_id}: {len(self._data)} bytes, {len(self._present)} heaps>"

    @property
    def data(self) -> BufferLike | None:
        """The heaps' payload, as it was given."""
        return self._data_object

    @data.setter
    def data(self, buffer: BufferLike | None) -> None:
        self._data = _writable(buffer, "data")
        self._data_object = buffer

    @property
    def present(self) -> BufferLike | None:
        """Which heaps, or packets, have arrived: 1 for each that has, 0 for the others."""
        return self._present_object

    @present.setter
    def present(self, buffer: BufferLike | None) -> None:
        self._present = _writable(buffer, "present")
        self._present_object = buffer

    @property
    def extra(self) -> BufferLike | None:
        """What the placement wrote about each heap."""
        return self._extra_object

    @extra.setter
    def extra(self, buffer: BufferLike | None) -> None:
        self._extra = _writable(buffer, "extra")
        self._extra_object = buffer

    def memory(self) -> tuple[Bytes, Bytes, Bytes]:
        """For engines: the bytes of ``data``, ``present`` and ``extra``.

        Raises
        ------
        ValueError
            If there is no memory for data, or none to say what is present.
        """
        for name in ("data", "present"):
            if getattr(self, name) is None:
                raise ValueError(f"the chunk's {name} buffer is not set: {self!r}")
        return self._data, self._present, self._extra


def _writable(buffer: BufferLike | None, name: str) -> Bytes:
    if buffer is None:
        return _NO_BYTES
    memory = as_bytes(buffer)
    if len(memory) and not memory.flags.writeable:
        raise BufferError(f"the chunk's {name} must be writable")
    return memory
