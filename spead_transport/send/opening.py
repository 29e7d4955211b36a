"""From what a user names to a sending endpoint."""

from __future__ import annotations

from typing import Any, TypeAlias

from ..engine.send_config import StreamConfig
from ..engine.thread_pool import ThreadPool
from ..transport import PacketSender, Transport
from ..transport.registry import transport_from_url
from .stream import SyncStream

__all__ = ["SenderTarget", "open_packet_sender", "open_sender"]

#: A URL, a configured transport, or an endpoint that is open already.
SenderTarget: TypeAlias = str | Transport[Any] | PacketSender


def open_packet_sender(target: SenderTarget) -> PacketSender:
    """The endpoint that `target` names."""
    if isinstance(target, PacketSender):
        return target
    transport = transport_from_url(target) if isinstance(target, str) else target
    return transport.open_sender()


def open_sender(
    target: SenderTarget,
    *,
    config: StreamConfig | None = None,
    thread_pool: ThreadPool | None = None,
    engine: str | None = None,
) -> SyncStream:
    """Open a stream to send heaps.

    Parameters
    ----------
    target
        Where to: a URL such as ``udp://239.2.3.4:7148?ttl=2``, a configured transport, or an endpoint.
    config
        The stream's settings.
    thread_pool
        Whose threads to use; by default the stream has its own.
    engine
        Which engine to use; by default the fastest that is installed.

    Raises
    ------
    ValueError
        If the URL is malformed, or names an unknown transport, option or engine.
    TransportError
        If the system refuses to open the transport.
    """
    return SyncStream(open_packet_sender(target), config, thread_pool=thread_pool, engine=engine)
