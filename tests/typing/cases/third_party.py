"""A transport that somebody else wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, assert_type

import attrs

import spead_transport as spead
from spead_transport import recv, send
from spead_transport.transport import (
    Capabilities,
    EventReadiness,
    PacketBatch,
    PacketReceiver,
    PacketSender,
    Readiness,
    Transport,
    TransportConfig,
    option,
)


@attrs.frozen(kw_only=True)
class PigeonConfig(TransportConfig):
    loft: str = option("", "where the pigeons live", address=True)
    pigeons: int = option(1, "how many there are")


class PigeonSender(PacketSender):
    def __init__(self) -> None:
        super().__init__("pigeon://loft", Capabilities(lossy=True, ordered=False, reach="network"))

    @property
    def writable(self) -> Readiness:
        return EventReadiness()

    def try_send(self, batch: PacketBatch) -> int:
        return len(batch)

    def _release_resources(self) -> None:
        pass


class PigeonReceiver(PacketReceiver):
    def __init__(self) -> None:
        super().__init__("pigeon://loft", Capabilities(lossy=True, ordered=False, reach="network"))

    @property
    def readable(self) -> Readiness:
        return EventReadiness()

    def try_recv(self, limit: int) -> PacketBatch:
        return PacketBatch.of([b""])

    def _release_resources(self) -> None:
        pass


class PigeonTransport(Transport[PigeonConfig]):
    contract = 1
    scheme = "pigeon"
    config_type = PigeonConfig
    capabilities = Capabilities(lossy=True, ordered=False, reach="network")

    @classmethod
    def loopback_url(cls) -> str:
        return "pigeon://loft"

    def channels(self, *, sending: bool) -> tuple[str, ...]:
        return (self.config.loft,)

    @classmethod
    def for_channels(cls, names: Sequence[str]) -> Self:
        return cls(PigeonConfig(loft=names[0]))

    def open_sender(self) -> PigeonSender:
        return PigeonSender()

    def open_receiver(self) -> PigeonReceiver:
        return PigeonReceiver()


transport = PigeonTransport(PigeonConfig(loft="home", pigeons=3))
assert_type(transport.config, PigeonConfig)
assert_type(transport.config.pigeons, int)
assert_type(PigeonTransport.from_url("pigeon://home?pigeons=3"), PigeonTransport)
assert_type(transport.open_sender(), PigeonSender)
assert_type(transport.open_sender().try_send(PacketBatch.of([b"packet"])), int)
assert_type(transport.open_receiver().try_recv(10), PacketBatch)
assert_type(spead.open_sender(transport), send.SyncStream)
assert_type(spead.open_receiver(transport), recv.Stream)

PigeonTransport("pigeon://home")  # error
PigeonConfig("home")  # error
PigeonConfig(pigeons="three")  # error
PigeonConfig(hawks=1)  # error
transport.config.hawks  # error
transport.config.pigeons = 4  # error
Capabilities(lossy=True, ordered=False, reach="moon")  # error
Capabilities(lossy=True)  # error


class Unfinished(PacketSender):
    @property
    def writable(self) -> Readiness:
        return EventReadiness()


Unfinished("pigeon://loft", transport.capabilities)  # error


class Mistaken(PigeonReceiver):
    def try_recv(self, limit: int) -> list[bytes]:  # error
        return []
