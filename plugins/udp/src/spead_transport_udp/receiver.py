"""Receives packets over UDP."""

from __future__ import annotations

import errno
import select
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np

from spead_transport.errors import BrokenTransportError
from spead_transport.transport import FdReadiness, PacketBatch, PacketReceiver

from .addresses import endpoints_at
from .offload import enable_gro, segment_size
from .sender import CAPABILITIES
from .sockets import adopt

__all__ = ["UdpReceiver"]

#: No datagram is larger, nor is what the kernel puts together.
_LARGEST_MESSAGE: Final = 65536
#: Packets are received back to back into a block of this many bytes, which stays in the processor's cache.
_BLOCK_BYTES: Final = 1 << 20
#: Enough for UDP_GRO's message beside any that the previous owner of an adopted socket asked for.
_ANCILLARY_BYTES: Final = 512
#: Messages taken from one socket before the next one's turn.
_TURN: Final = 64
#: Turns in one call: a socket may look ready for ever, for a reason that has nothing to do with its packets.
_MOST_TURNS: Final = 256
#: SO_MEMINFO (since Linux 4.12): an array of 32-bit numbers, of which this one counts the packets dropped. It is the
#: counter that SO_RXQ_OVFL (socket(7)) reports too, but only together with the next packet that is not dropped.
_SO_MEMINFO: Final = 55
_SK_MEMINFO_DROPS: Final = 8
#: What routers and hosts reported about packets that somebody sent from an adopted socket: no concern of a receiver.
#: Each is reported once.
_REPORTS: Final = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EPROTO}
)


@attrs.define(eq=False)
class _Source:
    """A socket, and how many packets the kernel dropped because its buffer was full."""

    socket: socket.socket
    #: The kernel's counter when it was last read, modulo 2**32. An adopted socket's is not zero at first.
    counter: int = 0
    dropped: int = 0

    def update_drops(self) -> None:
        """Read the counter; a kernel without it counts nothing."""
        counter = _kernel_drops(self.socket)
        self.dropped += (counter - self.counter) % (1 << 32)
        self.counter = counter


def _kernel_drops(sock: socket.socket) -> int:
    size = 4 * (_SK_MEMINFO_DROPS + 1)
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, size)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        return 0
    return int(struct.unpack_from("@I", data, 4 * _SK_MEMINFO_DROPS)[0]) if len(data) == size else 0


@attrs.define(eq=False)
class _Arrivals:
    """What one call received: messages, each of one packet or of several of equal size (the last may be shorter)."""

    starts: list[int] = attrs.field(factory=list)
    sizes: list[int] = attrs.field(factory=list)
    #: Size of the packets in each message.
    strides: list[int] = attrs.field(factory=list)
    #: Where the next message goes.
    end: int = 0
    num_packets: int = 0

    def add(self, size: int, stride: int, skip: int = 0) -> None:
        """Note the message that came last, but for its first `skip` bytes."""
        self.starts.append(self.end + skip)
        self.end += skip + size
        self.sizes.append(size)
        self.strides.append(stride)
        self.num_packets += _count(size, stride)

    def batch(self, block: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> PacketBatch:
        """The packets, which lie in `block`."""
        starts, sizes, strides = (np.array(column, np.int64) for column in (self.starts, self.sizes, self.strides))
        if self.num_packets > len(self.starts):
            counts = np.maximum(1, -(-sizes // strides))
            ends = np.repeat(starts + sizes, counts)
            strides = np.repeat(strides, counts)
            ordinals = np.arange(len(ends)) - np.repeat(np.cumsum(counts) - counts, counts)
            starts = np.repeat(starts, counts) + ordinals * strides
            sizes = np.minimum(strides, ends - starts)
        return PacketBatch(block[: self.end], starts, sizes)


def _count(size: int, stride: int) -> int:
    """Number of packets in a message; an empty datagram is a packet too."""
    return max(1, -(-size // stride))


class UdpReceiver(PacketReceiver):
    """Some sockets whose packets come out together.

    Parameters
    ----------
    sockets
        At least one; they become this object's.
    url
        What the receiver calls itself.
    max_packet_size
        Larger packets are dropped and counted, in bytes.
    gro
        Whether the kernel may put packets together.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], url: str, *, max_packet_size: int = 9200, gro: bool = True
    ) -> None:
        self._sources = {sock.fileno(): _Source(sock, _kernel_drops(sock)) for sock in sockets}
        self._max_packet_size = max_packet_size
        self._gro = gro
        if gro:
            for sock in sockets:
                enable_gro(sock)
        # An epoll instance polls readable itself when one of its members does.
        self._epoll = select.epoll()
        for fd in self._sources:
            self._epoll.register(fd, select.EPOLLIN)
        self._readable = FdReadiness(self._epoll.fileno())
        self._block = np.empty(_BLOCK_BYTES, np.uint8)
        self._truncated = 0
        # Counters may be read by any thread, at any time.
        self._counters = threading.Lock()
        super().__init__(url, CAPABILITIES)

    @classmethod
    def from_socket(cls, sock: socket.socket, *, max_packet_size: int = 9200, gro: bool = True) -> UdpReceiver:
        """A receiver that uses a duplicate of an existing socket, with the options that the socket has.

        The error queue, which would get in the way, is switched off for the owner, too.

        Parameters
        ----------
        sock
            A UDP socket, bound to its address, and member of its multicast groups if any. It stays the caller's, who
            may close it.
        max_packet_size
            Larger packets are dropped and counted, in bytes.
        gro
            Whether the kernel may put packets together; this sets an option of the socket.

        Raises
        ------
        ValueError
            If it is not a UDP socket, or not bound.
        """
        own = adopt(sock)
        try:
            endpoints = endpoints_at([own.getsockname()])
            if next(iter(endpoints)).port == 0:
                raise ValueError(f"expected a socket that is bound to an address, not {sock!r}")
            return cls([own], f"udp://{endpoints}", max_packet_size=max_packet_size, gro=gro)
        except BaseException:
            own.close()
            raise

    @property
    def readable(self) -> FdReadiness:
        return self._readable

    @property
    def max_packet_size(self) -> int:
        """Larger packets are dropped and counted, in bytes."""
        return self._max_packet_size

    @property
    def gro(self) -> bool:
        """Whether the kernel may put packets together."""
        return self._gro

    def filenos(self) -> list[int]:
        """The sockets' file descriptors."""
        return list(self._sources)

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            arrivals = _Arrivals()
            for _ in range(_MOST_TURNS):
                # epoll_wait(2): "successive epoll_wait() calls will round robin through the set of ready file
                # descriptors", so that no socket starves.
                ready = self._epoll.poll(0, 1)
                if not ready or not self._drain(self._sources[ready[0][0]].socket, arrivals, limit):
                    break
            return arrivals.batch(self._block)

    def drops(self) -> dict[str, int]:
        """Packets lost or dropped here.

        ``kernel``: the socket's buffer was full. Packets that arrived as one block (GRO) count as one, as the kernel
        counts them. ``truncated``: larger than ``max_packet_size``.
        """
        with self._counters:
            if not self._closed:
                self._update_drops()
            return {
                "kernel": sum(source.dropped for source in self._sources.values()),
                "truncated": self._truncated,
            }

    def _release_resources(self) -> None:
        with self._counters:
            self._update_drops()
            self._readable.detach()
            self._epoll.close()
            for source in self._sources.values():
                source.socket.close()
        self._readable.wake()

    def _update_drops(self) -> None:
        for source in self._sources.values():
            source.update_drops()

    def _drain(self, sock: socket.socket, arrivals: _Arrivals, limit: int) -> bool:
        """Receive from one socket until it has nothing more, or its turn is over; whether to go on with the next."""
        view = self._block.data
        for _ in range(_TURN):
            try:
                size, ancillary, _, _ = sock.recvmsg_into(
                    (view[arrivals.end :],), _ANCILLARY_BYTES, socket.MSG_DONTWAIT
                )
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno in _REPORTS:
                    continue
                raise BrokenTransportError("cannot receive", errno=error.errno, url=self.url) from error
            stride = segment_size(ancillary) or max(size, 1)
            if stride <= self._max_packet_size:
                arrivals.add(size, stride)
            else:
                self._keep_last(arrivals, size, stride)
            if arrivals.num_packets >= limit or arrivals.end > _BLOCK_BYTES - _LARGEST_MESSAGE:
                return False
        return True

    def _keep_last(self, arrivals: _Arrivals, size: int, stride: int) -> None:
        """Drop a message's packets, which are too large; but the last one may be a shorter one that is not."""
        too_large, last = divmod(size, stride)
        if 0 < last <= self._max_packet_size:
            arrivals.add(last, last, skip=size - last)
        else:
            too_large = _count(size, stride)
        self._truncated += too_large
