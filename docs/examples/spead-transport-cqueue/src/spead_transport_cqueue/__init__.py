"""``cqueue://name``: packets between the threads of a process, through a queue that is written in C.

Engines of native code call the queue directly. For everybody else, these classes call the same functions.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

import attrs
import numpy as np

from spead_transport.errors import BrokenTransportError, BusyError, ClosedError, EndOfStream, TransportError
from spead_transport.transport import (
    Bytes,
    Capabilities,
    FdReadiness,
    Offsets,
    PacketBatch,
    PacketReceiver,
    PacketSender,
    Transport,
    TransportConfig,
    as_bytes,
    option,
)

from . import _native

__all__ = ["CQueueConfig", "CQueueReceiver", "CQueueSender", "CQueueTransport"]

CAPABILITIES: Final = Capabilities(
    lossy=False, ordered=True, reach="process", signals_end=True, several_senders=True, native=True
)
_ERRORS: Final = {
    _native.SPEAD_CLOSED: ClosedError,
    _native.SPEAD_BUSY: BusyError,
    _native.SPEAD_REFUSED: TransportError,
}
_NO_BYTES: Final[Bytes] = np.zeros(0, np.uint8)
#: The receivers that are open, by name. One step of a dictionary is atomic.
_receivers: Final[dict[str, _native.ReceiverHandle]] = {}
os.register_at_fork(after_in_child=_receivers.clear)


@attrs.frozen(kw_only=True)
class CQueueConfig(TransportConfig):
    """Options of ``cqueue://``."""

    name: str = option("", "name of the queue", address=True, validator=attrs.validators.min_len(1))
    max_packets: int | None = option(
        None,
        "how many packets may wait, as the receiver says; no limit if not given",
        unit="packets",
        validator=attrs.validators.optional(attrs.validators.ge(1)),
    )


@contextmanager
def _failures_of(url: str) -> Iterator[None]:
    """Raise what the numbers of ``spead_transport.h`` mean."""
    try:
        yield
    except _native.Failure as failure:
        result, number, message = failure.args
        if result == _native.SPEAD_END_OF_STREAM:
            raise EndOfStream from None
        error = _ERRORS.get(result, BrokenTransportError)
        raise error(message, errno=number or None, url=url) from None


def _numbers(column: bytes) -> Offsets:
    return np.frombuffer(column, np.int64)


class CQueueSender(PacketSender):
    def __init__(self, handle: _native.SenderHandle, url: str) -> None:
        self._writable = FdReadiness(_native.fileno(handle))  # first, because the system may refuse it
        super().__init__(url, CAPABILITIES)
        self._handle = handle

    @property
    def writable(self) -> FdReadiness:
        return self._writable

    def native_handle(self) -> _native.SenderHandle:
        return self._handle

    def try_send(self, batch: PacketBatch) -> int:
        with self._using(), _failures_of(self.url):
            if batch.destination != 0:
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0")
            return _native.try_send(
                self._handle,
                batch.heads,
                np.ascontiguousarray(batch.head_offsets),
                np.ascontiguousarray(batch.head_sizes),
                batch.bodies[0] if len(batch.bodies) == 1 else np.concatenate((_NO_BYTES, *batch.bodies)),
                np.ascontiguousarray(batch.body_offsets),
                np.ascontiguousarray(batch.body_sizes),
            )

    def _release_resources(self) -> None:
        _native.close(self._handle)
        self._writable.wake()


# --8<-- [start:receiver]
class CQueueReceiver(PacketReceiver):
    def __init__(self, handle: _native.ReceiverHandle, name: str, url: str) -> None:
        self._readable = FdReadiness(_native.fileno(handle))
        super().__init__(url, CAPABILITIES)
        self._handle = handle
        self._name = name

    @property
    def readable(self) -> FdReadiness:
        return self._readable

    def native_handle(self) -> _native.ReceiverHandle:
        return self._handle

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using(), _failures_of(self.url):
            heads, head_offsets, head_sizes, segment, body_offsets, body_sizes = _native.try_recv(self._handle, limit)
        return PacketBatch(
            np.frombuffer(heads, np.uint8),
            _numbers(head_offsets),
            _numbers(head_sizes),
            () if segment is None else (as_bytes(segment),),
            _numbers(body_offsets),
            _numbers(body_sizes),
            adoptable=segment is not None,
        )

    def _release_resources(self) -> None:
        if _receivers.get(self._name) is self._handle:
            del _receivers[self._name]
        _native.close(self._handle)
        self._readable.wake()


# --8<-- [end:receiver]


class CQueueTransport(Transport[CQueueConfig]):
    """Start the receiver before its senders. The end comes when the last sender was closed."""

    contract = 1
    scheme = "cqueue"
    config_type: ClassVar[type[TransportConfig]] = CQueueConfig
    capabilities = CAPABILITIES

    @classmethod
    def loopback_url(cls) -> str:
        return f"{cls.scheme}://{uuid.uuid4()}"

    def open_sender(self) -> CQueueSender:
        receiver = _receivers.get(self.config.name)
        if receiver is None:
            raise self._refused(errno.ECONNREFUSED, "there is no receiver", "start the receiver before its senders")
        with self._system_errors("open the receiver again to start another stream"):
            return CQueueSender(_native.open_sender(receiver), self.url)

    def open_receiver(self) -> CQueueReceiver:
        name = self.config.name
        with self._system_errors("close some files, or allow the process more of them"):
            handle = _native.open_receiver(self.config.max_packets or 0)
            receiver = CQueueReceiver(handle, name, self.url)
        if _receivers.setdefault(name, handle) is not handle:
            receiver.close()
            raise self._refused(errno.EADDRINUSE, "there is a receiver already", "close it, or use another name")
        return receiver

    @contextmanager
    def _system_errors(self, hint: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refused(error.errno, error.strerror or str(error), hint) from error

    def _refused(self, number: int | None, message: str, hint: str) -> TransportError:
        return TransportError(message, errno=number, url=self.url, hint=hint)
