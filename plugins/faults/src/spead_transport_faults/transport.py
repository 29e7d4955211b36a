"""``faults+…://``: any transport, gone wrong."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from spead_transport.transport import (
    Capabilities,
    Clock,
    PacketSender,
    Transport,
    TransportConfig,
    WrapperTransport,
    system_clock,
    transport_from_url,
)

from .config import FaultsConfig
from .endpoints import FaultyReceiver, FaultySender
from .log import FaultLog

__all__ = ["FaultsTransport"]


class FaultsTransport(WrapperTransport[FaultsConfig]):
    """A transport around another one, whose packets are lost, doubled, spoilt, delayed … as the options say.

    Parameters
    ----------
    config
        What is to go wrong.
    inner
        The transport that it goes wrong with.
    clock
        Whose time delays, bandwidth and outages go by; a ``ManualClock`` in tests.
    """

    contract = 1
    scheme = "faults"
    config_type: ClassVar[type[TransportConfig]] = FaultsConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        lossy=False,
        ordered=True,
        reach="process",
        several_destinations=True,
        signals_end=True,
        several_senders=True,
    )

    def __init__(self, config: FaultsConfig, inner: Transport[Any], *, clock: Clock = system_clock) -> None:
        super().__init__(config, inner)
        self._clock = clock
        #: What was done to the packets of all endpoints that this object opened.
        self.log: FaultLog = FaultLog()

    @classmethod
    def loopback_url(cls) -> str:
        return f"{cls.scheme}+inproc://{uuid.uuid4()}"

    def open_sender(self) -> FaultySender:
        return self._sender_around(self.open_inner_sender())

    async def open_sender_async(self) -> FaultySender:
        return self._sender_around(await self.open_inner_sender_async())

    def open_receiver(self) -> FaultyReceiver:
        inner = self.open_inner_receiver()
        return FaultyReceiver(inner, self.config, log=self.log, clock=self._clock, url=self._url_around(inner.url))

    def _sender_around(self, inner: PacketSender) -> FaultySender:
        return FaultySender(inner, self.config, log=self.log, clock=self._clock, url=self._url_around(inner.url))

    def _url_around(self, url: str) -> str:
        """This transport's URL, with the address that the system gave the inner endpoint."""
        return type(self)(self.config, transport_from_url(url)).url
