"""Where packets go or come from, as people write it: ``239.1.1.1+15:7148,[::1]:7149``."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Final, Self

import attrs

__all__ = ["Endpoint", "EndpointRange", "Endpoints", "as_ip_address"]

_ENDPOINT: Final = re.compile(
    r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<plain>[^\[\]:+]*))(?:\+(?P<further>\d{1,6}))?:(?P<port>\d{1,6})"
)
_EXPECTED: Final = "expected host:port, [IPv6 address]:port or address+n:port (n further addresses)"
#: Longest range of addresses; a typing error must not make a program open sockets by the million.
_MOST_FURTHER: Final = 65535
_free_ports: Final = itertools.count(1)


def as_ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """`host` as an address; ``None`` if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


@attrs.frozen
class Endpoint:
    """A host, by address or by name, and a port. An empty host is any address."""

    host: str = attrs.field(validator=attrs.validators.instance_of(str))
    port: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.in_(range(65536))])

    def __str__(self) -> str:
        return str(EndpointRange(self))

    def channel(self) -> str:
        """A name for ``Transport.channels``: of a multicast group its address and port, else the port.

        For a host has many names and addresses, and receives at any of them; a free port is another one each time.
        """
        address = as_ip_address(self.host)
        if address is not None and address.is_multicast:
            return str(self)
        return f":{self.port or f'free-{next(_free_ports)}'}"


@attrs.frozen
class EndpointRange:
    """An endpoint, and those with the next `further` addresses."""

    first: Endpoint
    further: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """The range that `text` describes.

        Raises
        ------
        ValueError
            If the text is malformed, the port out of range, or a range does not start with an address.
        """
        match = _ENDPOINT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{_EXPECTED}, not {text!r}")
        host = match["plain"] if match["bracketed"] is None else match["bracketed"]
        if match["bracketed"] is not None and not isinstance(as_ip_address(host), ipaddress.IPv6Address):
            raise ValueError(f"expected an IPv6 address in the brackets of {text!r}")
        port = int(match["port"])
        if port > 65535:
            raise ValueError(f"the port in {text!r} is above 65535")
        return cls(Endpoint(host, port), int(match["further"] or 0))

    def __attrs_post_init__(self) -> None:
        if not self.further:
            return
        address = as_ip_address(self.first.host)
        if address is None:
            raise ValueError(f"a range starts with an address, not with {self.first.host!r}")
        if not 0 <= self.further <= _MOST_FURTHER:
            raise ValueError(f"expected at most {_MOST_FURTHER} further addresses, not {self.further}")
        if int(address) + self.further >= 1 << address.max_prefixlen:
            raise ValueError(f"there are no {self.further} addresses after {address}")

    def __iter__(self) -> Iterator[Endpoint]:
        """Each endpoint."""
        yield self.first
        address = as_ip_address(self.first.host)
        if address is not None:
            for step in range(1, self.further + 1):
                yield Endpoint(str(address + step), self.first.port)

    def __str__(self) -> str:
        host = f"[{self.first.host}]" if ":" in self.first.host else self.first.host
        further = f"+{self.further}" if self.further else ""
        return f"{host}{further}:{self.first.port}"


@attrs.frozen
class Endpoints:
    """A list of endpoints. Iterate for each; ``str()`` is what :meth:`parse` understands.

    Parameters
    ----------
    ranges
        The parts of the list.
    """

    ranges: tuple[EndpointRange, ...] = ()

    @classmethod
    def parse(cls, value: str | Endpoints | Iterable[tuple[str, int]]) -> Endpoints:
        """Endpoints from text, or from pairs of host and port.

        Raises
        ------
        ValueError
            If the text is malformed, or a host or port is impossible.
        """
        if isinstance(value, Endpoints):
            return value
        if not isinstance(value, str):
            return cls(tuple(EndpointRange(Endpoint(host, port)) for host, port in value))
        if not value.strip():
            return cls()
        return cls(tuple(map(EndpointRange.parse, value.split(","))))

    def require_destinations(self, url: str) -> None:
        """Check that each endpoint can be sent to, and that there is one.

        Raises
        ------
        ValueError
            If not; the message starts with `url`.
        """
        if not self.ranges:
            raise ValueError(f"{url}: expected a destination, host:port")
        for endpoint in self:
            if not (endpoint.host and endpoint.port):
                raise ValueError(f"{url}: a destination needs a host and a port, which '{endpoint}' lacks")

    def channels(self) -> tuple[str, ...]:
        """The channel of each endpoint, for ``Transport.channels``."""
        return tuple(endpoint.channel() for endpoint in self)

    def __iter__(self) -> Iterator[Endpoint]:
        for part in self.ranges:
            yield from part

    def __len__(self) -> int:
        return sum(part.further + 1 for part in self.ranges)

    def __str__(self) -> str:
        return ",".join(map(str, self.ranges))
