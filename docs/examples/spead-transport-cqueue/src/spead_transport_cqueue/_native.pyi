"""The compiled module. Not for direct use."""

from typing import Final, NewType, TypeAlias

from typing_extensions import Buffer

from spead_transport.transport import Bytes, Offsets

SPEAD_END_OF_STREAM: Final[int]
SPEAD_CLOSED: Final[int]
SPEAD_BUSY: Final[int]
SPEAD_REFUSED: Final[int]

class Failure(Exception):  # noqa: N818 - it becomes an error, or the end
    args: tuple[int, int, str]

class Segment(Buffer): ...

#: PyCapsules.
SenderHandle = NewType("SenderHandle", object)
ReceiverHandle = NewType("ReceiverHandle", object)

#: Heads, their offsets and sizes; the segment that the bodies lie in, if any, their offsets and sizes.
Columns: TypeAlias = tuple[bytes, bytes, bytes, Segment | None, bytes, bytes]

def open_receiver(max_packets: int, /) -> ReceiverHandle: ...
def open_sender(to: ReceiverHandle, /) -> SenderHandle: ...
def fileno(handle: SenderHandle | ReceiverHandle, /) -> int: ...
def close(handle: SenderHandle | ReceiverHandle, /) -> None: ...
def try_send(
    handle: SenderHandle,
    heads: Bytes,
    head_offsets: Offsets,
    head_sizes: Offsets,
    bodies: Bytes,
    body_offsets: Offsets,
    body_sizes: Offsets,
    /,
) -> int: ...
def try_recv(handle: ReceiverHandle, limit: int, /) -> Columns: ...
