"""Writes packets to shared memory."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

import attrs

from spead_transport.errors import BrokenTransportError, TransportError
from spead_transport.transport import Bytes, Capabilities, FdSetReadiness, PacketBatch, PacketSender

from .messages import GOODBYE, LONGEST, Hello, Refusal, unpack_answer
from .ring import RingWriter, size_for

__all__ = ["CAPABILITIES", "ShmSender"]

CAPABILITIES: Final = Capabilities(lossy=False, ordered=True, reach="host", signals_end=True, several_senders=True)

_GONE: Final = "the receiver was closed, or its program ended"


class ShmSender(PacketSender):
    """A ring, and the connection to the receiver that reads it. Packets that were taken are delivered even if the
    sender is closed or its program ends.

    Parameters
    ----------
    sock
        A socket connected to the receiver, which becomes this object's.
    url
        What the sender calls itself.
    size
        Of the ring, in bytes.

    Raises
    ------
    OSError
        If the system does not give the memory, or the receiver is gone already.
    """

    def __init__(self, sock: socket.socket, url: str, size: int) -> None:
        self._socket = sock
        self._ring = RingWriter(size)
        try:
            hello = Hello(self._ring.space.size)
            socket.send_fds(sock, [hello.pack()], [self._ring.fd], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        finally:
            os.close(self._ring.fd)
        self._writable = FdSetReadiness()
        self._writable.add(sock.fileno())
        self._writable.set()
        super().__init__(url, attrs.evolve(CAPABILITIES, largest_packet=self._ring.largest_packet))

    @property
    def writable(self) -> FdSetReadiness:
        return self._writable

    def hand_over(self) -> tuple[int, Bytes] | None:
        """For engines of native code, which then send in place of this object and leave it to be closed.

        Returns
        -------
        tuple or None
            The socket's file descriptor, which becomes the caller's, and the ring; ``None`` if the receiver has
            records to read already. Nothing has changed then.
        """
        with self._using():
            if self._ring.space.records:
                return None
            self._writable.remove(self._socket.fileno())
            return self._socket.detach(), self._ring.memory

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            if batch.destination != 0:
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0")
            self._read_answers()
            taken = self._write(batch)
            # A receipt that comes now is reported all the same, by the socket.
            if taken or not len(batch):
                self._writable.set()
            else:
                self._writable.clear()
            return taken

    def _write(self, batch: PacketBatch) -> int:
        taken = 0
        while taken < len(batch):
            rest = batch[taken:] if taken else batch
            if rest.sizes[0] > self._ring.largest_packet:
                if taken:
                    break
                raise self._too_large(int(rest.sizes[0]))
            announcement = self._ring.write(rest)
            if announcement is None:
                break
            try:
                self._socket.send(announcement.pack(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                # The system gave the socket a smaller buffer than asked for. Receipts for what fills it will come.
                self._ring.space.free(announcement.start)
                break
            except OSError as error:
                if taken:
                    break
                raise BrokenTransportError("cannot send", errno=error.errno, url=self.url, hint=_GONE) from error
            taken += announcement.count
        return taken

    def _too_large(self, size: int) -> TransportError:
        largest = self._ring.largest_packet
        return TransportError(
            f"a packet of {size} bytes does not fit the ring: expected {largest} at most",
            url=self.url,
            hint=f"send smaller packets, or set size={size_for(size)} or more",
        )

    def _read_answers(self) -> None:
        """Note which records the receiver has done with."""
        while True:
            try:
                message = self._socket.recv(LONGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # said once; what the receiver had to say before comes next
            except OSError as error:
                raise BrokenTransportError("cannot send", errno=error.errno, url=self.url, hint=_GONE) from error
            if not message:
                raise BrokenTransportError("cannot send", url=self.url, hint=_GONE)
            try:
                answer = unpack_answer(message)
                if isinstance(answer, Refusal):
                    raise BrokenTransportError(f"the receiver refuses: {answer.reason}", url=self.url)
                for start in answer.starts:
                    self._ring.space.free(start)
            except ValueError as error:
                hint = "do both ends have the same version of spead-transport-shm?"
                raise BrokenTransportError(
                    f"the receiver is out of order: {error}", url=self.url, hint=hint
                ) from error

    def _release_resources(self) -> None:
        if self._socket.fileno() >= 0:  # not handed over
            self._writable.remove(self._socket.fileno())
            # A receiver that is gone needs no goodbye.
            with contextlib.suppress(OSError):
                self._socket.send(GOODBYE, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            self._socket.close()
        self._ring.close()
        self._writable.set()
        self._writable.wake()
