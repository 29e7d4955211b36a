"""What a queue asks of an engine of native code that keeps its packets."""

from __future__ import annotations

from typing import Protocol

from spead_transport.transport import PacketBatch

__all__ = ["Channel", "ChannelReader"]


class ChannelReader(Protocol):
    """One receiver's access to a channel."""

    def fileno(self) -> int:
        """A file descriptor that polls readable when :meth:`pop` may have something to say."""
        ...

    def pop(self) -> PacketBatch | None:
        """The batch that waits longest, ``None`` if there is none now.

        Raises
        ------
        EndOfStream
            If the channel was stopped and is empty.
        """
        ...


class Channel(Protocol):
    """Where the packets of a queue wait when an engine of native code reaches for them, without Python."""

    def push(self, batch: PacketBatch) -> None:
        """Add a copy of packets.

        Raises
        ------
        TransportError
            If the channel was stopped.
        """
        ...

    def reader(self) -> ChannelReader:
        """Access for one more receiver; the first one also gets what waits."""
        ...

    def stop(self) -> None:
        """Take no more packets; readers get those that wait, and then the end."""
        ...

    def set_ending(self, ending: bool) -> None:
        """Say whether the first reader that finds nothing left stops the channel."""
        ...

    @property
    def stopped(self) -> bool: ...

    def tallies(self) -> list[tuple[int, int]]:
        """Packets and bytes that came in, that went out, that wait, that waited at most, and that were discarded."""
        ...
