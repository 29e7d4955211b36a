"""Streams that are connected over any transport, for tests of what is done with streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import attrs

from .. import recv, send
from ..transport import PacketReceiver
from .subject import TransportUnderTest

__all__ = ["AsyncStreamPair", "Link", "StreamPair", "receiving_stream"]

_StreamT = TypeVar("_StreamT", bound=recv.RingStream)


class StreamPair(NamedTuple):
    """A stream that sends, and the one that receives from it."""

    sender: send.SyncStream
    receiver: recv.Stream


class AsyncStreamPair(NamedTuple):
    """A stream that sends, and the one that receives from it, for asyncio."""

    sender: send.asyncio.AsyncStream
    receiver: recv.asyncio.Stream


@attrs.frozen
class Link:
    """What a pair of streams is made of: a transport, and an engine."""

    subject: TransportUnderTest
    #: Name of the engine, or ``None`` for the one that a program gets that names none.
    engine: str | None = None

    @contextmanager
    def streams(
        self,
        send_config: send.StreamConfig | None = None,
        recv_config: recv.StreamConfig | None = None,
        ring_config: recv.RingStreamConfig | None = None,
    ) -> Iterator[StreamPair]:
        """New streams that nobody else uses, until the end of the ``with`` block.

        Parameters
        ----------
        send_config, recv_config, ring_config
            The streams' settings. By default there is room for many heaps at once, and their packets may arrive
            out of order if the transport lets them.

        Raises
        ------
        TransportError
            If the system refuses to open the transport.
        """
        with (
            self.subject.pair() as (sender, receiver),
            receiving_stream(recv.Stream, receiver, recv_config, ring_config, engine=self.engine) as incoming,
            send.SyncStream(sender, send_config, engine=self.engine) as outgoing,
        ):
            yield StreamPair(outgoing, incoming)

    @contextmanager
    def async_streams(
        self,
        send_config: send.StreamConfig | None = None,
        recv_config: recv.StreamConfig | None = None,
        ring_config: recv.RingStreamConfig | None = None,
    ) -> Iterator[AsyncStreamPair]:
        """Like :meth:`streams`, for asyncio. Opening and closing need no event loop.

        Raises
        ------
        TransportError
            As for :meth:`streams`.
        """
        with self.subject.pair() as (sender, receiver):
            incoming = receiving_stream(recv.asyncio.Stream, receiver, recv_config, ring_config, engine=self.engine)
            outgoing = send.asyncio.AsyncStream(sender, send_config, engine=self.engine)
            try:
                yield AsyncStreamPair(outgoing, incoming)
            finally:
                outgoing.close()
                incoming.stop()


def receiving_stream(
    kind: type[_StreamT],
    receiver: PacketReceiver,
    config: recv.StreamConfig | None = None,
    ring_config: recv.RingStreamConfig | None = None,
    *,
    engine: str | None = None,
) -> _StreamT:
    """A stream that receives from an open endpoint."""
    if config is None:
        config = recv.StreamConfig(max_heaps=64, allow_out_of_order=not receiver.capabilities.ordered)
    stream = kind(None, config, ring_config, engine=engine)
    stream.add_reader(receiver)
    return stream
