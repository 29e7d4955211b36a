"""``tcp://host:port``: packets over a TCP connection."""

from __future__ import annotations

import socket
from typing import ClassVar

import attrs

from spead_transport.transport import Transport, TransportConfig

from .config import TcpConfig
from .receiver import TcpReceiver
from .sender import CAPABILITIES, TcpSender
from .sockets import connect, connect_async, endpoint_of, listen

__all__ = ["TcpTransport"]


class TcpTransport(Transport[TcpConfig]):
    """A sender connects, a receiver listens; packets follow each other on the connection with nothing in between.

    Nothing is lost: a receiver that does not keep up holds its senders up. A receiver ends when as many senders as it
    expects (``connections``) have come and gone.
    """

    contract = 1
    scheme = "tcp"
    config_type: ClassVar[type[TransportConfig]] = TcpConfig
    capabilities = CAPABILITIES

    @classmethod
    def loopback_url(cls) -> str:
        return f"{cls.scheme}://127.0.0.1:0?max_packet_size={2 << 20}"

    def channels(self, *, sending: bool) -> tuple[str, ...]:
        return (self.config.endpoint.channel(),)

    def open_sender(self) -> TcpSender:
        """A sender that is connected: the call waits for that, up to ``connect_timeout``.

        Raises
        ------
        ValueError
            If the URL has no host or no port.
        TransportError
            If the host has no address, or no connection could be made in time.
        """
        return self._sender(connect(self.config, self.url))

    async def open_sender_async(self) -> TcpSender:
        """Like :meth:`open_sender`, while the event loop goes on."""
        return self._sender(await connect_async(self.config, self.url))

    def open_receiver(self) -> TcpReceiver:
        """A receiver that listens. It accepts connections whenever it is asked for packets.

        Raises
        ------
        ValueError
            If two addresses to listen at are given.
        TransportError
            If the host has no address, or the system refuses.
        """
        config = self.config
        listener = listen(config, self.url)
        try:
            bound = attrs.evolve(config, endpoint=endpoint_of(listener.getsockname()))
            return TcpReceiver(
                listener,
                bound.shown_url(self.scheme),
                connections=config.connections,
                max_packet_size=config.max_packet_size,
                keepalive=config.keepalive,
            )
        except BaseException:
            listener.close()
            raise

    def _sender(self, sock: socket.socket) -> TcpSender:
        try:
            return TcpSender(sock, self.url, adaptive=not self.config.buffer_size)
        except BaseException:
            sock.close()
            raise
