"""What the two ends tell each other. The packets are in shared memory; everything said about them is not.

The receiver listens on a Unix socket (``SOCK_SEQPACKET``) in the abstract namespace, which the system forgets with
the socket: nothing is left behind however a process ends. Each sender connects, and passes on a *ring*: memory that
it made (memfd_create(2)), which only this sender writes to and only this receiver reads. Then messages follow:

* from the sender: :class:`Announcement`, one for each record of packets that it has written to the ring, and
  :data:`GOODBYE` before it closes. A connection that ends without it has lost its sender.
* from the receiver: :class:`Receipt`, so many more records may be overwritten; or :class:`Refusal`.

This makes the rules of shared memory simple:

* A message is sent after what it tells of was written, and is received before that is read. The socket's own locks
  order both for the two processors, whatever their kind: no atomic operation is needed, and none could be asked of
  Python.
* A record exists as soon as it was announced, as a whole. What a process was writing when it died was never there.
* A position or a size that a message gives is checked once, and cannot change afterwards.
* Whoever waits, waits for the socket: for records, for room, and for the other one's end alike.

A sender has at most :data:`WINDOW` announcements under way, so that no message ever finds a socket full.
"""

from __future__ import annotations

import struct
from typing import Final, Self

import attrs

__all__ = [
    "GOODBYE",
    "LONGEST",
    "WINDOW",
    "Announcement",
    "Hello",
    "Receipt",
    "Refusal",
    "address_of",
    "unpack_answer",
]

#: How many announcements may wait for their receipts.
WINDOW: Final = 128
#: Size of a socket's buffer for as many messages and some more, in bytes: each counts as less than a kilobyte.
BUFFER_SIZE: Final = 1024 * (WINDOW + 2)
#: No message is longer than this, in bytes.
LONGEST: Final = 512

GOODBYE: Final = b"goodbye"

_HELLO: Final = struct.Struct("=24sQ")
#: The number is the version of all this.
_MAGIC: Final = b"spead-transport-shm 1"
_ANNOUNCEMENT: Final = struct.Struct("=QQQ")
_RECEIPT: Final = struct.Struct("=I")
_REFUSAL: Final = b"refused: "


def address_of(name: str) -> bytes:
    """The address of the receiver's socket."""
    return b"\0spead-transport-shm/" + name.encode()


@attrs.frozen
class Hello:
    """The sender's first message, which the ring's file descriptor comes with."""

    #: Of the ring, in bytes.
    size: int

    def pack(self) -> bytes:
        return _HELLO.pack(_MAGIC, self.size)

    @classmethod
    def unpack(cls, message: bytes) -> Self:
        """Read the message.

        Raises
        ------
        ValueError
            If it is another message, or another version's.
        """
        if len(message) != _HELLO.size or not message.startswith(_MAGIC):
            raise ValueError(
                f"expected {_MAGIC.decode()!r}, not {message[:40]!r}: its version does not fit this one's"
            )
        return cls(_HELLO.unpack(message)[1])


@attrs.frozen
class Announcement:
    """A record is in the ring: see :mod:`spead_transport_shm.ring`."""

    #: Where it starts, in bytes.
    start: int
    #: Number of packets.
    count: int
    #: Size of all packets together, in bytes.
    nbytes: int

    def pack(self) -> bytes:
        return _ANNOUNCEMENT.pack(self.start, self.count, self.nbytes)

    @classmethod
    def unpack(cls, message: bytes) -> Self:
        """Read the message.

        Raises
        ------
        ValueError
            If it is another message.
        """
        if len(message) != _ANNOUNCEMENT.size:
            raise ValueError(f"expected an announcement of {_ANNOUNCEMENT.size} bytes, not {message[:40]!r}")
        return cls(*_ANNOUNCEMENT.unpack(message))


@attrs.frozen
class Receipt:
    """The oldest records are not used any more."""

    #: Number of records.
    count: int

    def pack(self) -> bytes:
        return _RECEIPT.pack(self.count)


@attrs.frozen
class Refusal:
    """The receiver wants nothing from this sender."""

    reason: str

    def pack(self) -> bytes:
        return (_REFUSAL + self.reason.encode())[:LONGEST]


def unpack_answer(message: bytes) -> Receipt | Refusal:
    """Read a message from the receiver.

    Raises
    ------
    ValueError
        If it is none that a receiver sends.
    """
    if len(message) == _RECEIPT.size:
        return Receipt(*_RECEIPT.unpack(message))
    if message.startswith(_REFUSAL):
        return Refusal(message.removeprefix(_REFUSAL).decode(errors="replace"))
    raise ValueError(f"expected a receipt of {_RECEIPT.size} bytes, not {message[:40]!r}")
