"""A small wrapper: it drops each packet whose number is a multiple of `every`, on the way in or out."""

from __future__ import annotations

import attrs

from spead_transport.transport import (
    Capabilities,
    PacketBatch,
    PacketReceiver,
    PacketSender,
    Readiness,
    TransportConfig,
    WrapperTransport,
    option,
)

__all__ = ["DropConfig", "DropTransport", "OtherContract"]


@attrs.frozen(kw_only=True)
class DropConfig(TransportConfig):
    every: int = option(2, "each packet whose number is a multiple of this is lost", validator=attrs.validators.ge(1))
    #: A name that a transport and the stream have, too.
    max_packet_size: int = option(65535, "larger packets are lost", unit="bytes")
    token: str = option("", "a secret", secret=True)


class _Sender(PacketSender):
    def __init__(self, inner: PacketSender, config: DropConfig, url: str) -> None:
        super().__init__(url, attrs.evolve(inner.capabilities, lossy=True))
        self._inner = inner
        self._every = config.every
        self._count = 0

    @property
    def writable(self) -> Readiness:
        return self._inner.writable

    @property
    def num_destinations(self) -> int:
        return self._inner.num_destinations

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            self._count += 1
            return 1 if self._count % self._every == 0 else self._inner.try_send(batch[:1])

    def _release_resources(self) -> None:
        self._inner.close()


class _Receiver(PacketReceiver):
    def __init__(self, inner: PacketReceiver, url: str) -> None:
        super().__init__(url, inner.capabilities)
        self._inner = inner

    @property
    def readable(self) -> Readiness:
        return self._inner.readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            return self._inner.try_recv(limit)

    def _release_resources(self) -> None:
        self._inner.close()


class DropTransport(WrapperTransport[DropConfig]):
    contract = 1
    scheme = "drop"
    config_type = DropConfig
    capabilities = Capabilities(lossy=True, ordered=True, reach="process")

    def open_sender(self) -> PacketSender:
        return _Sender(self.open_inner_sender(), self.config, self.url)

    def open_receiver(self) -> PacketReceiver:
        return _Receiver(self.open_inner_receiver(), self.url)


class OtherContract(DropTransport):
    contract = 2
    scheme = "odd"
