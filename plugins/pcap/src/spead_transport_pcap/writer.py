"""Capture files, written batch by batch: packets get the headers that they would have had on an Ethernet."""

from __future__ import annotations

import ipaddress
import os
import stat
import struct
import threading
from typing import Any, Final, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from spead_transport.errors import TransportError
from spead_transport.transport import Bytes, Endpoint, Offsets, PacketBatch, as_ip_address

__all__ = ["LARGEST_PACKET", "CaptureWriter"]

#: What fits into a UDP datagram, in bytes.
LARGEST_PACKET: Final = 65507
#: Where packets come from, as far as the capture tells.
_SOURCE_PORT: Final = 7148
_MAC: Final = bytes((2, 0, 0, 0, 0, 1))
#: Big-endian; microseconds; version 2.4; Ethernet.
_FILE_HEADER: Final = struct.Struct(">IHHiIII")
_MAGIC: Final = 0xA1B2C3D4
_LINKTYPE_ETHERNET: Final = 1

_RECORD: Final = [("seconds", ">u4"), ("microseconds", ">u4"), ("captured", ">u4"), ("length", ">u4")]
_ETHERNET: Final = [("to_mac", "6u1"), ("from_mac", "6u1"), ("ethertype", ">u2")]
_UDP: Final = [("from_port", ">u2"), ("to_port", ">u2"), ("udp_length", ">u2"), ("udp_checksum", ">u2")]
_IPV4: Final = np.dtype(
    [
        *_RECORD,
        *_ETHERNET,
        ("version", ">u2"),
        ("ip_length", ">u2"),
        ("id", ">u2"),
        ("fragment", ">u2"),
        ("ttl_protocol", ">u2"),
        ("ip_checksum", ">u2"),
        ("from_ip", "4u1"),
        ("to_ip", "4u1"),
        *_UDP,
    ]
)
_IPV6: Final = np.dtype(
    [
        *_RECORD,
        *_ETHERNET,
        ("version", ">u4"),
        ("ip_length", ">u2"),
        ("protocol_hops", ">u2"),
        ("from_ip", "16u1"),
        ("to_ip", "16u1"),
        *_UDP,
    ]
)
_RECORD_SIZE: Final = 16
_HOPS: Final = 64
_UDP_PROTOCOL: Final = 17

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Headers: TypeAlias = npt.NDArray[Any]

_lock: Final = threading.Lock()
#: Device and inode of the regular files that are being written.
_in_use: Final[set[tuple[int, int]]] = set()


@attrs.frozen
class _Route:
    """Where packets seem to come from and go to."""

    source: _Address
    destination: _Address
    port: int

    @classmethod
    def to(cls, endpoint: Endpoint) -> _Route:
        destination = as_ip_address(endpoint.host)
        if destination is None:
            raise ValueError(f"expected an IP address, not {endpoint.host!r}")
        return cls(
            ipaddress.ip_address("127.0.0.1" if destination.version == 4 else "::1"), destination, endpoint.port
        )

    @property
    def mac(self) -> bytes:
        """RFC 1112, section 6.4, and RFC 2464, section 7, for multicast."""
        packed = self.destination.packed
        if not self.destination.is_multicast:
            return bytes((2, 0, 0, 0, 0, 2))
        if len(packed) == 4:
            return bytes((1, 0, 0x5E, packed[1] & 0x7F)) + packed[2:]
        return b"\x33\x33" + packed[-4:]


class CaptureWriter:
    """A capture file in the pcap format, which takes the place of a file that is there.

    Parameters
    ----------
    path
        The file.
    endpoints
        Where the packets to each destination seem to go: addresses, not names.
    snaplen
        How much of each frame is written, in bytes.
    url
        What messages call it.

    Raises
    ------
    TransportError
        If the system refuses, or the file is being written already.
    """

    def __init__(self, path: str, endpoints: list[Endpoint], snaplen: int, url: str) -> None:
        self._url = url
        self._snaplen = snaplen
        self._routes = [_Route.to(endpoint) for endpoint in endpoints]
        self._key: tuple[int, int] | None = None
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._error(error) from error
        try:
            self._claim(path)
            self._write(_FILE_HEADER.pack(_MAGIC, 2, 4, 0, 0, snaplen, _LINKTYPE_ETHERNET))
        except OSError as error:
            self.close()
            raise (error if isinstance(error, TransportError) else self._error(error)) from None

    @property
    def num_destinations(self) -> int:
        """How many destinations a batch may name."""
        return len(self._routes)

    def write(self, batch: PacketBatch, now: float) -> None:
        """Write packets, none of which is larger than :data:`LARGEST_PACKET`.

        Parameters
        ----------
        batch
            The packets.
        now
            When they came or went, in seconds since 1970.

        Raises
        ------
        OSError
            If the system refuses; some of the packets may have been written.
        """
        packets = batch.flatten()
        headers = self._headers(packets, self._routes[batch.destination], now)
        width = headers.dtype.itemsize
        records = PacketBatch(
            headers.view(np.uint8).reshape(-1),
            np.arange(len(batch), dtype=np.int64) * width,
            np.full(len(batch), width, np.int64),
            (packets.heads,),
            packets.head_offsets,
            headers["captured"].astype(np.int64) - (width - _RECORD_SIZE),
        )
        self._write(records.flatten().heads.data)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd < 0:
            return
        with _lock:
            if self._key is not None:
                _in_use.discard(self._key)
            os.close(self._fd)
            self._fd = -1

    def _claim(self, path: str) -> None:
        """Empty the file, unless somebody in this process is writing to it."""
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            return
        key = (status.st_dev, status.st_ino)
        with _lock:
            if key in _in_use:
                raise TransportError(
                    f"{path} is being written already", url=self._url, hint="give each end a file of its own"
                )
            _in_use.add(key)
            self._key = key
        os.ftruncate(self._fd, 0)

    def _write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while len(rest):
            rest = rest[os.write(self._fd, rest) :]

    def _headers(self, packets: PacketBatch, route: _Route, now: float) -> _Headers:
        v4 = route.destination.version == 4
        headers = np.zeros(len(packets), _IPV4 if v4 else _IPV6)
        sizes = packets.sizes
        seconds, microseconds = divmod(round(now * 1e6), 1_000_000)
        headers["seconds"], headers["microseconds"] = seconds, microseconds
        headers["length"] = sizes + (headers.dtype.itemsize - _RECORD_SIZE)
        headers["captured"] = np.minimum(headers["length"], self._snaplen)
        headers["to_mac"] = np.frombuffer(route.mac, np.uint8)
        headers["from_mac"] = np.frombuffer(_MAC, np.uint8)
        headers["from_ip"] = np.frombuffer(route.source.packed, np.uint8)
        headers["to_ip"] = np.frombuffer(route.destination.packed, np.uint8)
        headers["from_port"], headers["to_port"] = _SOURCE_PORT, route.port
        headers["udp_length"] = sizes + 8
        (_finish_ipv4 if v4 else _finish_ipv6)(headers, packets)
        return headers

    def _error(self, error: OSError) -> TransportError:
        return TransportError(error.strerror or str(error), errno=error.errno, url=self._url)


def _finish_ipv4(headers: _Headers, packets: PacketBatch) -> None:
    headers["ethertype"] = 0x0800
    headers["version"] = 0x4500
    headers["ip_length"] = packets.sizes + 28
    headers["fragment"] = 0x4000  # none, and there must not be any
    headers["ttl_protocol"] = _HOPS << 8 | _UDP_PROTOCOL
    ip = headers.view(np.uint8).reshape(len(headers), -1)[:, _RECORD_SIZE + 14 : _RECORD_SIZE + 34]
    words = np.ascontiguousarray(ip).view(">u2").sum(axis=1, dtype=np.int64)
    headers["ip_checksum"] = ~_folded(words) & 0xFFFF
    # There is no UDP checksum, as RFC 768 allows.


def _finish_ipv6(headers: _Headers, packets: PacketBatch) -> None:
    headers["ethertype"] = 0x86DD
    headers["version"] = 6 << 28
    headers["ip_length"] = packets.sizes + 8
    headers["protocol_hops"] = _UDP_PROTOCOL << 8 | _HOPS
    # RFC 8200, section 8.1: here the checksum is required.
    sums = np.array([_sum_of_words(packet) for packet in packets.packets()], np.int64)
    for name in ("from_ip", "to_ip"):
        sums += np.ascontiguousarray(headers[name]).view(">u2").sum(axis=1, dtype=np.int64)
    for name in ("from_port", "to_port", "udp_length", "udp_length"):  # the length is in the pseudo-header, too
        sums += headers[name]
    checksums = ~_folded(sums + _UDP_PROTOCOL) & 0xFFFF
    headers["udp_checksum"] = np.where(checksums == 0, 0xFFFF, checksums)


def _sum_of_words(packet: Bytes) -> int:
    padded = packet.tobytes() + bytes(len(packet) % 2)
    return int(np.frombuffer(padded, ">u2").sum(dtype=np.int64))


def _folded(sums: Offsets) -> Offsets:
    """The sum of 16-bit words with the carries added (RFC 1071)."""
    for _ in range(3):
        sums = (sums & 0xFFFF) + (sums >> 16)
    return sums
