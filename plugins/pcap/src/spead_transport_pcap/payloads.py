"""What captures hold for us, many datagrams at a time."""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from spead_transport.transport import Bytes, Offsets, PacketBatch

from .frames import SPARE, udp_spans

__all__ = ["NONE", "Payloads", "Source", "Times"]

#: Seconds since 1970, one-dimensional.
Times: TypeAlias = npt.NDArray[np.float64]


@attrs.frozen(eq=False)
class Payloads:
    """The payloads of UDP datagrams, and when each was captured.

    Parameters
    ----------
    block
        Where they lie, with some unused bytes behind.
    offsets, sizes
        Where each one starts in it, and how long it is.
    times
        When it was captured; 0 if nobody wanted to know.
    """

    block: Bytes
    offsets: Offsets
    sizes: Offsets
    times: Times

    @classmethod
    def in_frames(
        cls, link_type: int, block: Bytes, starts: Offsets, sizes: Offsets, times: Times
    ) -> tuple[Payloads, Counter[str]]:
        """Those in frames that lie in a block, and how many frames have none for which reason.

        Parameters and errors are those of :func:`.frames.udp_spans`.
        """
        good, offsets, widths, reasons = udp_spans(link_type, block, starts, sizes)
        if good.all():
            return cls(block, offsets, widths, times), reasons
        return cls(block, offsets[good], widths[good], times[good]), reasons

    @classmethod
    def in_copies(cls, link_type: int, frames: list[bytes], times: list[float]) -> tuple[Payloads, Counter[str]]:
        """The same for frames that do not lie in a block yet."""
        sizes = np.fromiter(map(len, frames), np.int64, len(frames))
        block = np.frombuffer(bytearray().join([*frames, bytes(SPARE)]), np.uint8)
        return cls.in_frames(link_type, block, np.cumsum(sizes) - sizes, sizes, np.array(times, np.float64))

    def __len__(self) -> int:
        """How many there are."""
        return len(self.offsets)

    def __getitem__(self, index: slice) -> Payloads:
        """Some of them."""
        return Payloads(self.block, self.offsets[index], self.sizes[index], self.times[index])

    def batch(self) -> PacketBatch:
        """As packets."""
        return PacketBatch(self.block, self.offsets, self.sizes)


class Source(Protocol):
    """Where payloads come from."""

    #: Frames without a payload, by reason.
    drops: Counter[str]
    #: Whether there are no more frames.
    ended: bool

    def read(self) -> Payloads:
        """The next ones, which are valid until the next call.

        There may be none, where many frames have no payload, and at the end: then `ended` is set. Where the file
        cannot be read further is an end, too, which is counted and logged.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


#: No payloads.
NONE: Final = Payloads(np.zeros(SPARE, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
