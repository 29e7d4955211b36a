"""``udp://host:port``: packets over UDP, to and from hosts and multicast groups."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import attrs

from spead_transport.transport import Transport, TransportConfig

from .addresses import endpoints_at
from .config import UdpConfig
from .offload import LARGEST_DATAGRAM
from .receiver import UdpReceiver
from .sender import CAPABILITIES, UdpSender
from .sockets import Route, open_receiving, open_sending, resolve_route

__all__ = ["UdpTransport"]


class UdpTransport(Transport[UdpConfig]):
    """Each packet is a datagram, which may be lost, duplicated or overtaken on its way.

    A sender has a destination for each endpoint of the URL; a receiver receives at all of them. A receiver is never
    told that its senders are finished.
    """

    contract = 1
    scheme = "udp"
    config_type: ClassVar[type[TransportConfig]] = UdpConfig
    capabilities = CAPABILITIES

    @classmethod
    def loopback_url(cls) -> str:
        return f"{cls.scheme}://127.0.0.1:0?max_packet_size={LARGEST_DATAGRAM}"

    def channels(self, *, sending: bool) -> tuple[str, ...]:
        return self.config.endpoints.channels()

    def open_sender(self) -> UdpSender:
        return self._sender(resolve_route(self.config, self.url))

    async def open_sender_async(self) -> UdpSender:
        """Like :meth:`open_sender`, while the event loop goes on: a name service may take its time."""
        loop = asyncio.get_running_loop()
        return self._sender(await loop.run_in_executor(None, resolve_route, self.config, self.url))

    def open_receiver(self) -> UdpReceiver:
        config = self.config
        sockets = open_receiving(config, self.url)
        try:
            bound = attrs.evolve(config, endpoints=endpoints_at(sock.getsockname() for sock in sockets))
            url = bound.shown_url(self.scheme)
            return UdpReceiver(sockets, url, max_packet_size=config.max_packet_size, gro=config.gro)
        except BaseException:
            for sock in sockets:
                sock.close()
            raise

    def _sender(self, route: Route) -> UdpSender:
        sock = open_sending(self.config, route, self.url)
        try:
            return UdpSender(sock, route.destinations, self.url, gso=self.config.gso)
        except BaseException:
            sock.close()
            raise
