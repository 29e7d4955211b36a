"""The classic streams over UDP."""

from __future__ import annotations

import socket as socket_module
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias, overload

from spead_transport import ThreadPool
from spead_transport.send import StreamConfig, SyncStream
from spead_transport.send.asyncio import AsyncStream
from spead_transport.transport import PacketSender

from .classic import classic_sender
from .config import SEND_BUFFER_SIZE

__all__ = ["AsyncUdpStream", "UdpStream"]

_EndpointList: TypeAlias = Sequence[tuple[str, int]]


class _ClassicArguments:
    """The forms in which a classic UDP stream can be made.

    Parameters
    ----------
    thread_pool
        As for every stream.
    endpoints
        Host and port of each substream.
    config
        The stream's settings.
    buffer_size
        Size of the socket's send buffer, in bytes; 0 leaves the system's.
    interface_address
        Address to send from, or of the interface for multicast.
    ttl
        How many routers a multicast packet may pass. All endpoints must be multicast groups.
    interface_index
        Index of the interface for multicast (IPv6).
    socket
        A socket to use; it is duplicated.
    engine
        Name of the engine.

    Raises
    ------
    TypeError
        If the arguments fit none of the forms, or a port is impossible.
    ValueError
        If there are no endpoints, or one is not a multicast group although a `ttl` is given.
    TransportError
        If an address does not resolve or cannot be used.
    """

    DEFAULT_BUFFER_SIZE: ClassVar[int] = SEND_BUFFER_SIZE

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool | None,
        endpoints: _EndpointList,
        config: StreamConfig | None = ...,
        buffer_size: int = ...,
        interface_address: str = ...,
        *,
        engine: str | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        thread_pool: ThreadPool | None,
        endpoints: _EndpointList,
        config: StreamConfig | None,
        buffer_size: int,
        ttl: int,
        interface_address: str = ...,
        *,
        engine: str | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        thread_pool: ThreadPool | None,
        endpoints: _EndpointList,
        config: StreamConfig | None,
        buffer_size: int,
        ttl: int,
        interface_index: int,
        *,
        engine: str | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        thread_pool: ThreadPool | None,
        endpoints: _EndpointList,
        config: StreamConfig | None = ...,
        buffer_size: int = ...,
        *,
        ttl: int,
        interface_address: str = ...,
        interface_index: int | None = ...,
        engine: str | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        thread_pool: ThreadPool | None,
        socket: socket_module.socket,
        endpoints: _EndpointList,
        config: StreamConfig | None = ...,
        *,
        engine: str | None = ...,
    ) -> None: ...
    def __init__(
        self, thread_pool: ThreadPool | None, *arguments: Any, engine: str | None = None, **named: Any
    ) -> None:
        sender, config = _open(*arguments, **named)
        self._begin(sender, config, thread_pool, engine)

    def _begin(
        self, sender: PacketSender, config: StreamConfig | None, thread_pool: ThreadPool | None, engine: str | None
    ) -> None:
        raise NotImplementedError


class UdpStream(_ClassicArguments, SyncStream):
    __doc__ = f"Sends over UDP.\n\n{_ClassicArguments.__doc__}"

    def _begin(
        self, sender: PacketSender, config: StreamConfig | None, thread_pool: ThreadPool | None, engine: str | None
    ) -> None:
        SyncStream.__init__(self, sender, config, thread_pool=thread_pool, engine=engine)


class AsyncUdpStream(_ClassicArguments, AsyncStream):
    __doc__ = f"Sends over UDP, with asyncio.\n\n{_ClassicArguments.__doc__}"

    def _begin(
        self, sender: PacketSender, config: StreamConfig | None, thread_pool: ThreadPool | None, engine: str | None
    ) -> None:
        AsyncStream.__init__(self, sender, config, thread_pool=thread_pool, engine=engine)


def _open(*arguments: Any, **named: Any) -> tuple[PacketSender, StreamConfig | None]:
    if "socket" in named or (arguments and isinstance(arguments[0], socket_module.socket)):
        return _open_with_socket(*arguments, **named)
    return _open_endpoints(*arguments, **named)


def _open_with_socket(
    socket: socket_module.socket, endpoints: _EndpointList, config: StreamConfig | None = None
) -> tuple[PacketSender, StreamConfig | None]:
    return classic_sender(endpoints, sock=socket), config


def _open_endpoints(
    endpoints: _EndpointList,
    config: StreamConfig | None = None,
    buffer_size: int = SEND_BUFFER_SIZE,
    *rest: Any,
    **named: Any,
) -> tuple[PacketSender, StreamConfig | None]:
    """What follows the buffer size is an interface, or a ttl and perhaps an interface."""
    names = ("interface_address",) if rest and isinstance(rest[0], str) else ("ttl", "interface_address")
    if len(rest) > len(names):
        raise TypeError(f"too many arguments: {rest!r} is more than {' and '.join(names)}")
    sender = classic_sender(endpoints, buffer_size=buffer_size, **dict(zip(names, rest, strict=False)), **named)
    return sender, config
