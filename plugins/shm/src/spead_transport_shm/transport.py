"""``shm://name``: packets in memory that two processes share."""

from __future__ import annotations

import uuid
from typing import ClassVar

from spead_transport.errors import TransportError
from spead_transport.transport import Transport, TransportConfig

from .config import ShmConfig
from .receiver import ShmReceiver
from .sender import CAPABILITIES, ShmSender
from .sockets import connect, listen

__all__ = ["ShmTransport"]


class ShmTransport(Transport[ShmConfig]):
    """A receiver opens a name, any number of senders on the same machine attach to it.

    Each sender brings memory of its own. Nothing is lost: a sender whose memory is full waits for the receiver.
    Nothing is left behind either: name and memory vanish with the processes that use them, however they end.
    """

    contract = 1
    scheme = "shm"
    config_type: ClassVar[type[TransportConfig]] = ShmConfig
    capabilities = CAPABILITIES

    @classmethod
    def loopback_url(cls) -> str:
        return f"{cls.scheme}://{uuid.uuid4().hex}"

    def open_sender(self) -> ShmSender:
        """A sender that is attached; the receiver need not be looking.

        Raises
        ------
        ValueError
            If the URL has no name.
        TransportError
            If there is no such receiver, it may not be attached to, or the system gives no memory.
        """
        sock = connect(self.config.name, self.config.access, self.url)
        try:
            return ShmSender(sock, self.url, self.config.size)
        except OSError as error:
            sock.close()
            hint = "were the limits on memory or files reached, or was the receiver closed just now?"
            raise TransportError("cannot attach", errno=error.errno, url=self.url, hint=hint) from error
        except BaseException:
            sock.close()
            raise

    def open_receiver(self) -> ShmReceiver:
        """A receiver that senders can attach to.

        Raises
        ------
        ValueError
            If the URL has no name.
        TransportError
            If another receiver has the name, or the system refuses.
        """
        config = self.config
        listener = listen(config.name, self.url)
        try:
            return ShmReceiver(listener, self.url, access=config.access, senders=config.senders)
        except BaseException:
            listener.close()
            raise
