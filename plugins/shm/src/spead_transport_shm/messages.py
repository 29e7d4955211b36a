"""What the two ends tell each other. The packets are in shared memory; everything said about them is not.

The receiver listens on a Unix socket (``SOCK_SEQPACKET``) in the abstract namespace, which the system forgets with
the socket: nothing is left behind however a process ends. Each sender connects, and passes on a *ring*: memory that
it made (memfd_create(2)), which only this sender writes to and only this receiver reads. Then messages follow:

* from the sender: :class:`Announcement`, one for each record of packets that it has written to the ring, and
  :data:`GOODBYE` before it closes. A connection that ends without it has lost its sender.
* from the receiver: :class:`Receipt`, some records may be overwritten, in whatever order; or :class:`Refusal`.

This makes the rules of shared memory simple:

* A message is sent after what it tells of was written, and is received before that is read. The socket's own locks
  order both for the two processors, whatever their kind: no atomic operation is needed, and none could be asked of
  Python.
* A record exists as soon as it was announced, as a whole. What a process was writing when it died was never there.
* A position or a size that a message gives is checked once, and cannot change afterwards.
* Whoever waits, waits for the socket: for records, for room, and for the other one's end alike.

A sender has at most :data:`WINDOW` records in its ring, so that no message ever finds a socket full.

A receiver may keep records for as long as it likes, instead of copying what is in them: half a :data:`WINDOW` of
them at most, and only at the ring's beginning (:data:`KEPT_SHARE`). What it has to give back at once has room for
every packet that a sender takes, so that nobody is held up for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, Self

import attrs

__all__ = [
    "GOODBYE",
    "KEPT_SHARE",
    "LONGEST",
    "MOST_PACKETS",
    "WINDOW",
    "Announcement",
    "Hello",
    "Receipt",
    "Refusal",
    "address_of",
    "unpack_answer",
]

#: How many records may be in a ring.
WINDOW: Final = 128
#: How much of a ring a receiver may keep, at its beginning: so many sixteenths.
KEPT_SHARE: Final = 7
#: Size of a socket's buffer for as many messages and some more, in bytes: each counts as less than a kilobyte.
BUFFER_SIZE: Final = 1024 * (WINDOW + 2)
#: How many packets an announcement may be about: what is claimed must not fill the memory.
MOST_PACKETS: Final = 1 << 16
#: No message is longer than this, in bytes.
LONGEST: Final = 512

GOODBYE: Final = b"goodbye"

_HELLO: Final = struct.Struct("=24sQ")
#: The number is the version of all this.
_MAGIC: Final = b"spead-transport-shm 2"
_ANNOUNCEMENT: Final = struct.Struct("=QQQQ")
_RECEIPT: Final = struct.Struct("=Q")
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
    #: Size of all heads together, in bytes.
    head_bytes: int
    #: Size of all bodies together, in bytes.
    body_bytes: int

    def pack(self) -> bytes:
        return _ANNOUNCEMENT.pack(self.start, self.count, self.head_bytes, self.body_bytes)

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
    """Some records are not used any more."""

    #: Where each starts.
    starts: tuple[int, ...]

    def pack(self) -> bytes:
        return b"".join(map(_RECEIPT.pack, self.starts))

    @classmethod
    def all_of(cls, starts: Sequence[int]) -> Iterator[Receipt]:
        """Receipts for all records that start there: several, if there are too many for one."""
        most = LONGEST // _RECEIPT.size
        for first in range(0, len(starts), most):
            yield cls(tuple(starts[first : first + most]))


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
    if message.startswith(_REFUSAL):
        return Refusal(message.removeprefix(_REFUSAL).decode(errors="replace"))
    if message and len(message) % _RECEIPT.size == 0:
        return Receipt(tuple(start for (start,) in _RECEIPT.iter_unpack(message)))
    raise ValueError(f"expected a receipt, of {_RECEIPT.size} bytes for each record, not {message[:40]!r}")
