"""The classic streams over TCP."""

from __future__ import annotations

import socket as socket_module
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeAlias, overload

from spead_transport import ThreadPool
from spead_transport.send import StreamConfig, SyncStream
from spead_transport.send.asyncio import AsyncStream
from spead_transport.transport import PacketSender, open_sender, open_sender_async

from .classic import BUFFER_SIZE, classic_transport
from .sender import TcpSender

__all__ = ["AsyncTcpStream", "TcpStream"]

_EndpointList: TypeAlias = Sequence[tuple[str, int]]


class TcpStream(SyncStream):
    """Sends over TCP.

    Parameters
    ----------
    thread_pool
        As for every stream.
    endpoints
        Host and port to connect to: a list of exactly one. The call waits for the connection.
    socket
        A connected socket to use instead; it is duplicated.
    config
        The stream's settings.
    buffer_size
        Size of the socket's send buffer, in bytes; 0 leaves it to the system.
    interface_address
        Address to connect from.
    engine
        Name of the engine.

    Raises
    ------
    TypeError
        If the arguments fit none of the forms, or a port is impossible.
    ValueError
        If there is not exactly one endpoint, or the socket is not a connected TCP socket.
    TransportError
        If no connection could be made.
    """

    DEFAULT_BUFFER_SIZE: ClassVar[int] = BUFFER_SIZE

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool | None,
        socket: socket_module.socket,
        config: StreamConfig | None = ...,
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
        interface_address: str = ...,
        *,
        engine: str | None = ...,
    ) -> None: ...
    def __init__(
        self, thread_pool: ThreadPool | None, *arguments: Any, engine: str | None = None, **named: Any
    ) -> None:
        if "socket" in named or (arguments and isinstance(arguments[0], socket_module.socket)):
            sender, config = _adopt(*arguments, **named)
        else:
            sender, config = _connect(*arguments, **named)
        super().__init__(sender, config, thread_pool=thread_pool, engine=engine)


def _adopt(
    socket: socket_module.socket, config: StreamConfig | None = None
) -> tuple[PacketSender, StreamConfig | None]:
    return TcpSender.from_socket(socket), config


def _connect(
    endpoints: _EndpointList,
    config: StreamConfig | None = None,
    buffer_size: int = BUFFER_SIZE,
    interface_address: str = "",
) -> tuple[PacketSender, StreamConfig | None]:
    return open_sender(classic_transport(endpoints, buffer_size, interface_address)), config


class AsyncTcpStream(AsyncStream):
    """Sends over TCP, with asyncio. See :meth:`connect` for making the connection, too.

    Parameters
    ----------
    thread_pool
        As for every stream.
    socket
        A connected socket; it is duplicated.
    config
        The stream's settings.
    engine
        Name of the engine.

    Raises
    ------
    ValueError
        If it is not a connected TCP socket.
    """

    DEFAULT_BUFFER_SIZE: ClassVar[int] = BUFFER_SIZE

    def __init__(
        self,
        thread_pool: ThreadPool | None,
        socket: socket_module.socket,
        config: StreamConfig | None = None,
        *,
        engine: str | None = None,
    ) -> None:
        super().__init__(TcpSender.from_socket(socket), config, thread_pool=thread_pool, engine=engine)

    @classmethod
    async def connect(
        cls,
        thread_pool: ThreadPool | None,
        endpoints: _EndpointList,
        config: StreamConfig | None = None,
        buffer_size: int = BUFFER_SIZE,
        interface_address: str = "",
        *,
        engine: str | None = None,
    ) -> Self:
        """Make a connection, and a stream that sends over it. The parameters are those of :class:`TcpStream`.

        Raises
        ------
        TypeError
            If a port is impossible.
        ValueError
            If there is not exactly one endpoint.
        TransportError
            If no connection could be made.
        """
        sender = await open_sender_async(classic_transport(endpoints, buffer_size, interface_address))
        stream = cls.__new__(cls)
        AsyncStream.__init__(stream, sender, config, thread_pool=thread_pool, engine=engine)
        return stream
