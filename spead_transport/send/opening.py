"""From what a user names to a sending endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from ..engine.send_config import StreamConfig
from ..engine.thread_pool import ThreadPool
from ..settings import StreamSettings, Target, as_spec
from ..transport import PacketSender
from ..transport import open_sender as open_transport
from .stream import SyncStream

__all__ = ["SenderTarget", "open_sender", "packet_sender"]

#: A URL, a configured transport, one with the settings of a stream, or an endpoint that is open already.
SenderTarget: TypeAlias = Target | PacketSender


@contextmanager
def packet_sender(target: SenderTarget) -> Iterator[tuple[PacketSender, StreamSettings]]:
    """The endpoint that `target` names, and the settings of a stream over it, which the caller makes inside.

    If that fails the endpoint is closed.
    """
    if isinstance(target, PacketSender):
        sender, settings = target, StreamSettings()
    else:
        spec = as_spec(target)
        sender, settings = open_transport(spec.transport), spec.settings
    with ExitStack() as undo:
        undo.callback(sender.close)
        yield sender, settings
        undo.pop_all()


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
        Where to: a URL such as ``udp://239.2.3.4:7148?ttl=2``, which may have the stream's settings, too
        (``&rate=10Gbit/s&max_packet_size=8972``), a configured transport, a stream of a configuration file, or an
        endpoint.
    config
        The stream's settings. Those that differ from their defaults count more than those in `target`.
    thread_pool
        Whose threads to use; by default the stream has its own.
    engine
        Which engine to use, or several in order of preference (``"native,python"``); by default what `target` says,
        or the fastest that is installed.

    Raises
    ------
    ValueError
        If the URL is malformed, or names an unknown transport, option or engine.
    TransportError
        If the system refuses to open the transport.
    """
    with packet_sender(target) as (sender, settings):
        return SyncStream(
            sender, settings.send_config(config), thread_pool=thread_pool, engine=engine or settings.engine or None
        )
