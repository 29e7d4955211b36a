"""Capture files and frames made by hand, field by field."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spead_transport import send

__all__ = [
    "ETHERNET",
    "ethernet",
    "heap_packets",
    "ipv4",
    "ipv6",
    "pcap_bytes",
    "pcapng_bytes",
    "udp",
    "write_pcap",
]

ETHERNET = 1


def udp(payload: bytes, *, port: int = 7148, length: int | None = None) -> bytes:
    return struct.pack(">HHHH", 40000, port, 8 + len(payload) if length is None else length, 0) + payload


def ipv4(
    payload: bytes, *, to: str = "239.2.3.4", protocol: int = 17, fragment: int = 0, options: bytes = b""
) -> bytes:
    size = 20 + len(options)
    return (
        struct.pack(">BBHHHBBH", 0x40 | size // 4, 0, size + len(payload), 0, fragment, 64, protocol, 0)
        + socket.inet_aton("10.0.0.1")
        + socket.inet_aton(to)
        + options
        + payload
    )


def ipv6(payload: bytes, *, to: str = "ff15::7", following: int = 17, extensions: bytes = b"") -> bytes:
    return (
        struct.pack(">IHBB", 6 << 28, len(extensions) + len(payload), following, 64)
        + socket.inet_pton(socket.AF_INET6, "fe80::1")
        + socket.inet_pton(socket.AF_INET6, to)
        + extensions
        + payload
    )


def ethernet(packet: bytes, *, tags: Sequence[int] = (), padding: int = 0) -> bytes:
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    vlans = b"".join(struct.pack(">HH", tag, 100) for tag in tags)
    return bytes(12) + vlans + struct.pack(">H", kind) + packet + bytes(padding)


def pcap_bytes(
    frames: Sequence[bytes],
    *,
    link_type: int = ETHERNET,
    order: str = "<",
    snaplen: int = 65535,
    times: Sequence[float] = (),
    nanoseconds: bool = False,
) -> bytes:
    """A file in the pcap format."""
    fraction = 1e9 if nanoseconds else 1e6
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen, link_type)]
    for index, frame in enumerate(frames):
        time = times[index] if times else float(index)
        captured = frame[:snaplen]
        seconds, rest = divmod(time, 1)
        parts.append(struct.pack(f"{order}IIII", int(seconds), round(rest * fraction), len(captured), len(frame)))
        parts.append(captured)
    return b"".join(parts)


def pcapng_bytes(frames: Sequence[bytes], *, link_type: int = ETHERNET) -> bytes:
    """A file in the pcapng format: a section, an interface, and a block for each frame."""
    blocks = [(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)), (1, struct.pack("<HHI", link_type, 0, 65535))]
    for frame in frames:
        padded = frame + bytes(-len(frame) % 4)
        blocks.append((6, struct.pack("<IIIII", 0, 0, 0, len(frame), len(frame)) + padded))
    return b"".join(
        struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body)) for kind, body in blocks
    )


def write_pcap(path: Path, frames: Sequence[bytes], **options: int) -> Path:
    path.write_bytes(pcap_bytes(frames, **options))  # type: ignore[arg-type]
    return path


def heap_packets(cnt: int, nbytes: int = 500) -> list[bytes]:
    """The packets of a heap with its descriptor."""
    group = send.ItemGroup()
    group.add_item(0x1000, "data", "Bytes", (nbytes,), np.uint8, value=np.arange(nbytes) % 251)
    return list(send.PacketGenerator(group.get_heap(), cnt, max_packet_size=200))
