"""``unixgram:///run/ingest``: packets over Unix datagram sockets, between the processes of one host."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

import attrs

from spead_transport.errors import BrokenTransportError, TransportError
from spead_transport.transport import (
    Capabilities,
    FdReadiness,
    PacketBatch,
    PacketReceiver,
    PacketSender,
    Transport,
    TransportConfig,
    option,
)

__all__ = ["UnixgramConfig", "UnixgramReceiver", "UnixgramSender", "UnixgramTransport"]

LARGEST_PACKET: Final = 65536
#: A receiver does not go on for ever, even if packets come as fast as it takes them.
MOST_AT_ONCE: Final = 256
CAPABILITIES: Final = Capabilities(
    lossy=False, ordered=True, reach="host", largest_packet=LARGEST_PACKET, several_senders=True
)


@attrs.frozen(kw_only=True)
class UnixgramConfig(TransportConfig):
    """Options of ``unixgram://``."""

    address: str = option(
        "",
        "path of the socket, or a name in the abstract namespace of Linux",
        address=True,
        validator=attrs.validators.min_len(1),
    )
    buffer_size: int | None = option(
        None,
        "how much may be on its way from one sender; the system's default if not given",
        unit="bytes",
        validator=attrs.validators.optional(attrs.validators.ge(2 * LARGEST_PACKET)),
    )


class UnixgramSender(PacketSender):
    def __init__(self, sock: socket.socket, url: str) -> None:
        super().__init__(url, CAPABILITIES)
        self._socket = sock
        self._writable = FdReadiness(sock.fileno(), write=True)

    @property
    def writable(self) -> FdReadiness:
        return self._writable

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            if batch.destination != 0:
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0")
            for count, packet in enumerate(batch.packets()):
                try:
                    if len(packet) > LARGEST_PACKET:
                        raise TransportError(f"a packet of {len(packet)} bytes is too large", url=self.url)
                    self._socket.send(packet.data)
                except OSError as error:
                    if count or isinstance(error, BlockingIOError):
                        return count  # an error comes again when its packet is the first
                    if isinstance(error, TransportError):
                        raise
                    raise BrokenTransportError("the receiver is gone", errno=error.errno, url=self.url) from error
            return len(batch)

    def _release_resources(self) -> None:
        self._writable.detach()
        self._socket.close()
        self._writable.wake()


class UnixgramReceiver(PacketReceiver):
    def __init__(self, sock: socket.socket, url: str) -> None:
        super().__init__(url, CAPABILITIES)
        self._socket = sock
        self._readable = FdReadiness(sock.fileno())
        self._too_large = 0

    @property
    def readable(self) -> FdReadiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        packets: list[bytes] = []
        with self._using():
            for _ in range(min(limit, MOST_AT_ONCE)):
                try:
                    packet = self._socket.recv(LARGEST_PACKET + 1)
                except BlockingIOError:
                    break
                if len(packet) > LARGEST_PACKET:  # somebody else's, and cut
                    self._too_large += 1
                else:
                    packets.append(packet)
        return PacketBatch.of(packets)

    def drops(self) -> dict[str, int]:
        return {"too_large": self._too_large} if self._too_large else {}

    def _release_resources(self) -> None:
        self._readable.detach()
        path = self._socket.getsockname()
        self._socket.close()
        self._readable.wake()
        if isinstance(path, str):  # names in the abstract namespace are bytes, and vanish by themselves
            Path(path).unlink(missing_ok=True)


class UnixgramTransport(Transport[UnixgramConfig]):
    contract = 1
    scheme = "unixgram"
    config_type: ClassVar[type[TransportConfig]] = UnixgramConfig
    capabilities = CAPABILITIES

    @classmethod
    def loopback_url(cls) -> str:
        return f"{cls.scheme}://{uuid.uuid4()}"

    def open_sender(self) -> UnixgramSender:
        sock = self._open(socket.socket.connect, "start the receiver before its senders")
        return UnixgramSender(sock, self.url)

    def open_receiver(self) -> UnixgramReceiver:
        sock = self._open(socket.socket.bind, "if no other receiver is there, remove the socket that was left behind")
        return UnixgramReceiver(sock, self.url)

    def _open(self, attach: Callable[[socket.socket, str], None], hint: str) -> socket.socket:
        address = self.config.address if self.config.address.startswith("/") else f"\0{self.config.address}"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if self.config.buffer_size is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.config.buffer_size)
            attach(sock, address)
        except OSError as error:
            sock.close()
            raise TransportError(error.strerror or str(error), errno=error.errno, url=self.url, hint=hint) from error
        return sock
