"""Many packets in one system call: the kernel cuts a block into packets (GSO), or puts packets together (GRO).

udp(7), UDP_SEGMENT (since Linux 4.18): "Enables UDP segmentation offload. Segmentation offload reduces send(2) cost
by transferring multiple datagrams worth of data as a single large packet through the kernel transmit path, even when
that exceeds MTU. As late as possible, the large packet is split by segment size into a series of datagrams." All
segments but the last have the same size.

udp(7), UDP_GRO (since Linux 5.0): "Enables UDP receive offload. If enabled, the socket may receive multiple datagrams
worth of data as a single large buffer, together with a cmsg(3) that holds the segment size."
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = [
    "GSO_REFUSALS",
    "LARGEST_DATAGRAM",
    "enable_gro",
    "gso_works",
    "segment_message",
    "segment_size",
    "train_end",
]

_UDP_SEGMENT: Final = 103  # linux/udp.h
_UDP_GRO: Final = 104

#: The largest payload of a UDP datagram over IPv4: 65535 bytes less 20 for the IP header and 8 for the UDP header.
LARGEST_DATAGRAM: Final = 65507
#: udp(7): "at most 64 datagrams are sent in a single call".
_MOST_SEGMENTS: Final = 64

#: With these a send fails because of UDP_SEGMENT, although the same packets one by one may pass; none of them was
#: sent. A segment is larger than the route's MTU (such a packet would go in fragments otherwise): EINVAL, and since
#: Linux 6.13 EMSGSIZE. The device cannot compute checksums, or IPsec transforms the packets: EIO.
GSO_REFUSALS: Final = frozenset({errno.EINVAL, errno.EMSGSIZE, errno.EIO})


def gso_works(sock: socket.socket) -> bool:
    """Whether the kernel knows UDP_SEGMENT, asked on a real socket.

    A kernel that does not know it ignores the message of :func:`segment_message` and would send the block as one
    large packet. On the way a segment size that the socket's previous owner had set is taken back.
    """
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


def enable_gro(sock: socket.socket) -> bool:
    """Receive packets put together, where the kernel can; whether it can."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True


def segment_message(size: int) -> tuple[int, int, bytes]:
    """The ancillary message for ``sendmsg`` that has a block cut into packets of `size` bytes."""
    return socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("@H", size)


def segment_size(ancillary: Iterable[tuple[int, int, bytes]]) -> int:
    """Size of the packets in a block, as the ancillary messages of ``recvmsg`` tell it; 0 if it is a single one."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_UDP and kind == _UDP_GRO:
            return int.from_bytes(data[:4], sys.byteorder)
    return 0


def train_end(sizes: Sequence[int], first: int, largest_segment: int) -> int:
    """One past the last packet that can go in one block with packet `first`.

    Parameters
    ----------
    sizes
        Size of each packet, in bytes.
    first
        Where to start.
    largest_segment
        Larger packets go alone.
    """
    size = sizes[first]
    if not 0 < size <= largest_segment:
        return first + 1
    limit = min(len(sizes), first + min(_MOST_SEGMENTS, LARGEST_DATAGRAM // size))
    for index in range(first + 1, limit):
        if sizes[index] != size:
            # The last one may be shorter, but not empty: there would be nothing of it in the block.
            return index + 1 if 0 < sizes[index] < size else index
    return max(limit, first + 1)
