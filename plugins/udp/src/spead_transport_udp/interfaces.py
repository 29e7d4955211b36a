"""Network interfaces, by name, by number or by one of their addresses."""

from __future__ import annotations

import array
import errno
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path
from typing import Final

import attrs

from spead_transport.errors import TransportError
from spead_transport.transport import as_ip_address

__all__ = ["Interface", "find_interface"]

_SIOCGIFCONF: Final = 0x8912
#: ``struct ifconf``: the buffer's size and where it is. ``struct ifreq``: a name, and a union as large as `ifmap`.
_IFCONF: Final = struct.Struct("@iP")
_IFREQ_SIZE: Final = 16 + struct.calcsize("@LLHBB0L")
_IF_INET6: Final = Path("/proc/net/if_inet6")


@attrs.frozen
class Interface:
    """A network interface of this machine.

    Parameters
    ----------
    name, index
        As the system calls it.
    address
        The one of its addresses by which it was found, if it was found so.
    """

    name: str
    index: int
    address: str | None = None

    @property
    def family(self) -> socket.AddressFamily | None:
        """Family of the address by which the interface was found."""
        if self.address is None:
            return None
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET


def find_interface(text: str, url: str) -> Interface | None:
    """The interface that `text` means; ``None`` if it is empty or an unspecified address such as 0.0.0.0.

    Raises
    ------
    TransportError
        If this machine has no such interface.
    """
    address = as_ip_address(text)
    if not text or (address is not None and address.is_unspecified):
        return None
    try:
        if address is not None:
            return _by_address(text)
        if text.isdecimal():
            return Interface(socket.if_indextoname(int(text)), int(text))
        return Interface(text, socket.if_nametoindex(text))
    except (OSError, OverflowError) as error:
        raise TransportError(
            f"this machine has no network interface {text!r}",
            errno=getattr(error, "errno", None) or errno.ENODEV,
            url=url,
            hint=f"give the name, the number or an address of one of these: {_inventory()}",
        ) from error


def _by_address(text: str) -> Interface:
    wanted = ipaddress.ip_address(text.partition("%")[0])
    for name, address in _local_addresses():
        if address == wanted:
            return Interface(name, socket.if_nametoindex(name), text)
    raise OSError(errno.EADDRNOTAVAIL, f"no interface has the address {text}")


def _inventory() -> str:
    addresses: dict[str, list[str]] = {name: [] for _, name in socket.if_nameindex()}
    for name, address in _local_addresses():
        addresses.setdefault(name, []).append(str(address))
    return ", ".join(f"{name} ({' '.join(known)})" if known else name for name, known in addresses.items())


def _local_addresses() -> list[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    """Each address of this machine, with the name of its interface."""
    return [*_local_ipv4_addresses(), *_local_ipv6_addresses()]


def _local_ipv4_addresses() -> list[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    size = 64 * _IFREQ_SIZE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        while True:
            block = array.array("B", bytes(size))
            request = _IFCONF.pack(size, block.buffer_info()[0])
            used: int = _IFCONF.unpack(fcntl.ioctl(any_socket, _SIOCGIFCONF, request))[0]
            # netdevice(7): if the list does not fit it is cut without an error, so a full block says nothing.
            if used <= size - _IFREQ_SIZE:
                break
            size *= 2
    requests = (block[start : start + _IFREQ_SIZE].tobytes() for start in range(0, used, _IFREQ_SIZE))
    # A further address of an interface may have a label (eth0:1) for a name.
    return [
        (request[:16].partition(b"\0")[0].decode().partition(":")[0], ipaddress.IPv4Address(request[20:24]))
        for request in requests
    ]


def _local_ipv6_addresses() -> list[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    if not _IF_INET6.exists():  # a kernel without IPv6
        return []
    columns = (line.split() for line in _IF_INET6.read_text().splitlines())
    return [(column[5], ipaddress.IPv6Address(bytes.fromhex(column[0]))) for column in columns]
