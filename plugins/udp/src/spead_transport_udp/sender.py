"""Sends packets over UDP."""

from __future__ import annotations

import errno
import fcntl
import socket
import sys
import termios
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs
import numpy as np

from spead_transport.errors import TransportError
from spead_transport.transport import Capabilities, Endpoints, FdReadiness, PacketBatch, PacketSender

from .addresses import SocketAddress, as_endpoint, endpoints_at, resolve_all
from .offload import GSO_REFUSALS, LARGEST_DATAGRAM, gso_works, segment_message, train_end
from .sockets import adopt

__all__ = ["CAPABILITIES", "UdpSender"]

CAPABILITIES: Final = Capabilities(
    lossy=True,
    ordered=False,
    reach="network",
    largest_packet=LARGEST_DATAGRAM,
    largest_batch=1024,
    several_destinations=True,
    several_senders=True,
)
#: Packets are laid out back to back in pieces of this many bytes at most, for the kernel to cut. Measured with 1472
#: bytes per packet, the copy costs half of what a gather list with two entries per packet does. Larger pieces are
#: faster still as long as the socket has room, and wasted where it has not.
_PIECE_BYTES: Final = 512 * 1024

_HINTS: Final = {
    errno.EACCES: "a broadcast address, or one that the routing table prohibits, cannot be sent to",
    errno.EPERM: "a firewall rule of this machine refuses the packet",
    errno.ENETUNREACH: "no route leads there; for multicast, name the network interface (interface=…)",
    errno.EHOSTUNREACH: "no route leads there",
    errno.EADDRNOTAVAIL: "the address to send from is not one of this machine",
    errno.ENOBUFS: "the packet does not fit the socket's buffer; raise buffer_size, or lower max_packet_size",
    errno.EINVAL: "an address to send from (bind=…) must be able to reach the destination",
}


@attrs.define(eq=False)
class _Destination:
    address: SocketAddress
    #: The kernel cuts blocks into packets up to this size, as far as is known; 0 if it refuses altogether.
    largest_segment: int


class UdpSender(PacketSender):
    """A socket and the destinations it sends to.

    Parameters
    ----------
    sock
        The socket, which becomes this object's.
    destinations
        Address of each destination, all of the socket's family.
    url
        What the sender calls itself.
    gso
        Whether the kernel may cut blocks into packets.
    """

    def __init__(
        self, sock: socket.socket, destinations: Sequence[SocketAddress], url: str, *, gso: bool = True
    ) -> None:
        self._socket = sock
        self._writable = FdReadiness(sock.fileno(), write=True)
        largest_segment = LARGEST_DATAGRAM if gso and gso_works(sock) else 0
        self._destinations = [_Destination(address, largest_segment) for address in destinations]
        # New memory for each piece would cost more than all the rest: the system maps and clears it each time.
        self._block = np.empty(_PIECE_BYTES, np.uint8)
        super().__init__(url, CAPABILITIES)

    @classmethod
    def from_socket(
        cls, sock: socket.socket, endpoints: Endpoints | Iterable[tuple[str, int]], *, gso: bool = True
    ) -> UdpSender:
        """A sender that uses a duplicate of an existing socket, with the options that the socket has.

        Those that would get in the way are reset for the owner, too: the error queue and the segment size.

        Parameters
        ----------
        sock
            A UDP socket. It stays the caller's, who may close it.
        endpoints
            The destinations, at least one.
        gso
            Whether the kernel may cut blocks into packets.

        Raises
        ------
        ValueError
            If it is not a UDP socket, or a destination lacks a host or a port.
        TransportError
            If a host has no address of the socket's family.
        """
        endpoints = Endpoints.parse(endpoints)
        url = f"udp://{endpoints}"
        endpoints.require_destinations(url)
        own = adopt(sock)
        try:
            _, addresses = resolve_all(endpoints, url, own.family)
            return cls(own, addresses, f"udp://{endpoints_at(addresses)}", gso=gso)
        except BaseException:
            own.close()
            raise

    @property
    def writable(self) -> FdReadiness:
        return self._writable

    @property
    def gso(self) -> bool:
        """Whether the kernel may cut blocks into packets."""
        return any(destination.largest_segment for destination in self._destinations)

    @property
    def addresses(self) -> list[SocketAddress]:
        """The address of each destination, all of the socket's family."""
        return [destination.address for destination in self._destinations]

    def fileno(self) -> int:
        """The socket's file descriptor, -1 after :meth:`close`."""
        return self._socket.fileno()

    @property
    def num_destinations(self) -> int:
        return len(self._destinations)

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            if not 0 <= batch.destination < len(self._destinations):
                last = len(self._destinations) - 1
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0 to {last}")
            destination = self._destinations[batch.destination]
            taken = 0
            for piece in _pieces(batch):
                flat = piece.flatten(self._block if piece.nbytes <= len(self._block) else None)
                try:
                    sent = self._send_piece(flat, destination)
                except TransportError:
                    if taken:
                        break
                    raise
                taken += sent
                if sent < len(piece):
                    break
            return taken

    def _release_resources(self) -> None:
        self._writable.detach()
        self._socket.close()
        self._writable.wake()

    def _send_piece(self, piece: PacketBatch, destination: _Destination) -> int:
        """Send packets that lie back to back in one block; how many were taken. Raises if the first one fails."""
        block = piece.heads.data
        starts, sizes = piece.head_offsets.tolist(), piece.head_sizes.tolist()
        first = 0
        while first < len(sizes):
            last = train_end(sizes, first, destination.largest_segment)
            data = block[starts[first] : starts[last - 1] + sizes[last - 1]]
            try:
                if last - first > 1:
                    segments = [segment_message(sizes[first])]
                    self._socket.sendmsg((data,), segments, socket.MSG_DONTWAIT, destination.address)
                else:
                    self._socket.sendto(data, socket.MSG_DONTWAIT, destination.address)
            except BlockingIOError:
                return first
            except ConnectionRefusedError:
                # An earlier packet came back (ICMP port unreachable), which a connected socket reports at the next
                # call, without having sent anything: nobody receives there yet, or any more.
                continue
            except OSError as error:
                if last - first > 1 and error.errno in GSO_REFUSALS:
                    _limit_segments(destination, sizes[first], error)
                    continue
                if first or (error.errno == errno.ENOBUFS and _unsent(self._socket)):
                    return first
                raise self._failure(error, sizes[0], destination) from error
            first = last
        return first

    def _failure(self, error: OSError, size: int, destination: _Destination) -> TransportError:
        """What to tell the user if one packet cannot be sent."""
        where = as_endpoint(destination.address)
        if error.errno != errno.EMSGSIZE:
            hint = _HINTS.get(error.errno or 0)
            return TransportError(f"cannot send to {where}", errno=error.errno, url=self.url, hint=hint)
        limit = f"at most {LARGEST_DATAGRAM} bytes fit a UDP datagram"
        if size <= LARGEST_DATAGRAM:
            limit = "it exceeds the network's MTU and may not be fragmented"
        return TransportError(
            f"a packet of {size} bytes to {where} is too large: {limit}",
            errno=error.errno,
            url=self.url,
            hint="lower max_packet_size; 1472 bytes fit an Ethernet frame over IPv4, 1452 over IPv6",
        )


def _pieces(batch: PacketBatch) -> Iterator[PacketBatch]:
    """Cut a batch in parts of `_PIECE_BYTES` at most, or of one packet if that is larger."""
    ends = np.cumsum(batch.sizes)
    first = start = 0
    while first < len(batch):
        last = max(first + 1, int(np.searchsorted(ends, start + _PIECE_BYTES, "right")))
        yield batch[first:last]
        first, start = last, int(ends[last - 1])


def _unsent(sock: socket.socket) -> int:
    """How much of the socket's buffer is in use, in bytes.

    While something is, ENOBUFS means the same as EAGAIN: the kernel ran out of buffer halfway through the fragments
    of a packet, and took nothing of it. Otherwise the packet will never fit.
    """
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def _limit_segments(destination: _Destination, size: int, error: OSError) -> None:
    """Note what the kernel refuses to do for a destination; all of it is done packet by packet from now on."""
    destination.largest_segment = 0 if error.errno == errno.EIO else size - 1
