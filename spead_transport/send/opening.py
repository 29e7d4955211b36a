"""From what a user names to a sending endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from ..engine.send_config import StreamConfig
from ..engine.thread_pool import ThreadPool
from ..settings import StreamSettings, Target, as_spec
from ..transport import PacketSender, Transport
from ..transport import open_sender as open_transport
from .stream import SyncStream

__all__ = ["SenderTarget", "handed_over", "open_sender", "specify"]

#: A URL, a configured transport, one with the settings of a stream, or an endpoint that is open already.
SenderTarget: TypeAlias = Target | PacketSender


def specify(target: SenderTarget) -> tuple[Transport[Any] | PacketSender, StreamSettings]:
    """What to open, or what is open already, and the settings of a stream over it.

    Raises
    ------
    ValueError
        If it is a URL that is malformed, or names an unknown transport or option.
    """
    if isinstance(target, PacketSender):
        return target, StreamSettings()
    spec = as_spec(target)
    return spec.transport, spec.settings


@contextmanager
def handed_over(sender: PacketSender) -> Iterator[PacketSender]:
    """Give an endpoint to the stream that is made inside; if that fails the endpoint is closed."""
    with ExitStack() as undo:
        undo.callback(sender.close)
        yield sender
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
    specified, settings = specify(target)
    opened = specified if isinstance(specified, PacketSender) else open_transport(specified)
    with handed_over(opened) as sender:
        return SyncStream(
            sender, settings.send_config(config), thread_pool=thread_pool, engine=engine or settings.engine or None
        )
