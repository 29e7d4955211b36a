"""``pcap://path`` and ``record+…://``."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Final

import attrs

from spead_transport.transport import (
    Capabilities,
    Clock,
    Endpoint,
    Endpoints,
    PacketSender,
    Transport,
    TransportConfig,
    WrapperTransport,
    as_ip_address,
    system_clock,
    transport_from_url,
)

from .capture import Capture
from .config import PcapConfig, RecordConfig
from .receiver import CAPABILITIES, PcapReceiver
from .recording import Recorder, RecordingReceiver, RecordingSender
from .sender import PcapSender
from .writer import CaptureWriter

__all__ = ["PcapTransport", "RecordTransport"]

_ANYWHERE: Final = Endpoint("127.0.0.1", 7148)


class PcapTransport(Transport[PcapConfig]):
    """Packets come from a capture, or are written to one.

    Parameters
    ----------
    config
        The options.
    clock
        Whose time the option ``speed`` goes by; a ``ManualClock`` in tests.
    """

    contract = 1
    scheme = "pcap"
    config_type: ClassVar[type[TransportConfig]] = PcapConfig
    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, config: PcapConfig, *, clock: Clock = system_clock) -> None:
        super().__init__(config)
        self._clock = clock

    def open_sender(self) -> PcapSender:
        config = self.config
        writer = CaptureWriter(config.path, [config.destination or _ANYWHERE], config.snaplen, self.url)
        return PcapSender(writer, self.url)

    def open_receiver(self) -> PcapReceiver:
        capture = Capture(self.config.path, self.config.filter, self.url, timed=self.config.speed is not None)
        return PcapReceiver(capture, self.config.speed, self.url, clock=self._clock)


class RecordTransport(WrapperTransport[RecordConfig]):
    """A transport around another one, which keeps a copy of the packets in a capture.

    The capture shows where packets were sent to, or received at, if the transport within has IP addresses. Where
    they came from is not known: it shows this machine's own address.
    """

    contract = 1
    scheme = "record"
    config_type: ClassVar[type[TransportConfig]] = RecordConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        lossy=False,
        ordered=True,
        reach="process",
        several_destinations=True,
        signals_end=True,
        several_senders=True,
    )

    @classmethod
    def loopback_url(cls) -> str:
        return f"{cls.scheme}+inproc://{uuid.uuid4()}?file=/dev/null"

    def open_sender(self) -> RecordingSender:
        return self._sender_around(self.open_inner_sender())

    async def open_sender_async(self) -> RecordingSender:
        return self._sender_around(await self.open_inner_sender_async())

    def open_receiver(self) -> RecordingReceiver:
        with ExitStack() as undo:
            inner = undo.enter_context(self.open_inner_receiver())
            recorder = self._recorder(inner.url, 1)
            undo.pop_all()
        return RecordingReceiver(inner, recorder, self._around(inner.url).url)

    def _sender_around(self, inner: PacketSender) -> RecordingSender:
        with ExitStack() as undo:
            undo.enter_context(inner)
            recorder = self._recorder(inner.url, inner.num_destinations)
            undo.pop_all()
        return RecordingSender(inner, recorder, self._around(inner.url).url)

    def _around(self, url: str) -> RecordTransport:
        """This transport, with the address that the system gave the inner endpoint."""
        return type(self)(self.config, transport_from_url(url))

    def _recorder(self, url: str, destinations: int) -> Recorder:
        around = self._around(url)
        endpoints = _endpoints(around.inner)
        if self.config.destination is not None:
            endpoints = [self.config.destination]
        # Of several receiving addresses the first one stands for all.
        shown = [endpoints[min(index, len(endpoints) - 1)] for index in range(destinations)]
        return Recorder(CaptureWriter(self.config.file, shown, self.config.snaplen, around.url), around.url)


def _endpoints(transport: Transport[Any]) -> Sequence[Endpoint]:
    """The IP endpoints of a transport, if its address consists of such; else one that stands for it."""
    try:
        endpoints = Endpoints.parse(transport.config.address_text)
    except ValueError:
        return [_ANYWHERE]
    return [_shown(endpoint) for endpoint in endpoints] or [_ANYWHERE]


def _shown(endpoint: Endpoint) -> Endpoint:
    """A capture has no names, and no place for all addresses at once."""
    return endpoint if as_ip_address(endpoint.host) is not None else attrs.evolve(endpoint, host=_ANYWHERE.host)
