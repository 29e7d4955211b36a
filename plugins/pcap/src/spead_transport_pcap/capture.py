"""Capture files, read frame by frame."""

from __future__ import annotations

import gzip
import itertools
import logging
import shutil
import tempfile
import zlib
from collections import Counter
from typing import Final

import cypcap

from spead_transport.errors import TransportError

from .frames import LINK_TYPES, Rejected, udp_payload

__all__ = ["Capture"]

_log = logging.getLogger("spead_transport")
_GZIP_MAGIC: Final = b"\x1f\x8b"
#: Frames looked at in one call.
_MOST_FRAMES: Final = 8192


class Capture:
    """The UDP payloads in a capture file: pcap or pcapng, compressed by gzip or not.

    Parameters
    ----------
    path
        The file.
    filter
        Which frames are wanted, as for tcpdump; empty for all.
    url
        What messages call it.

    Raises
    ------
    TransportError
        If the file cannot be read, is no capture, was captured on a link that is not supported, or if the filter is
        malformed.
    """

    def __init__(self, path: str, filter: str, url: str) -> None:
        self._url = url
        self._unpacked: tempfile._TemporaryFileWrapper[bytes] | None = None
        #: Frames without a payload, by reason.
        self.drops: Counter[str] = Counter()
        #: Whether there are no more frames.
        self.ended: bool = False
        try:
            self._pcap = self._open(path)
        except BaseException:
            self._remove_unpacked()
            raise
        try:
            self._link_type = self._check_link()
            self._set_filter(filter)
        except BaseException:
            self.close()
            raise
        self._frames = iter(self._pcap)

    def close(self) -> None:
        """Close the file."""
        self._pcap.close()
        self._remove_unpacked()

    def read(self, limit: int) -> list[tuple[float, bytes]]:
        """The next UDP payloads, and when they were captured, in seconds since 1970.

        Parameters
        ----------
        limit
            How many at most. There may be fewer, or none, where many frames have no payload, and at the end: then
            `ended` is set. Where the file cannot be read further is an end, too, which is counted and logged.
        """
        found: list[tuple[float, bytes]] = []
        looked_at = 0
        try:
            for header, frame in itertools.islice(self._frames, _MOST_FRAMES):
                looked_at += 1
                try:
                    found.append((header.ts, udp_payload(self._link_type, frame)))
                except Rejected as rejected:
                    self.drops[rejected.reason] += 1
                    continue
                if len(found) == limit:
                    return found
            self.ended = looked_at < _MOST_FRAMES
        except cypcap.Error as error:
            self.ended = True
            self.drops["unreadable"] += 1
            _log.warning("%s: the rest of the capture cannot be read: %s", self._url, _text(error))
        return found

    def _open(self, path: str) -> cypcap.Pcap:
        try:
            with open(path, "rb") as file:
                magic = file.read(len(_GZIP_MAGIC))
            return cypcap.open_offline(self._unpack(path) if magic == _GZIP_MAGIC else path)
        except (OSError, EOFError, zlib.error) as error:
            errno = error.errno if isinstance(error, OSError) else None
            text = (isinstance(error, OSError) and error.strerror) or str(error)
            raise TransportError(text, errno=errno, url=self._url) from error
        except cypcap.Error as error:
            raise TransportError(
                f"no capture: {_text(error)}", url=self._url, hint="a pcap or pcapng file, as tcpdump -w writes it"
            ) from error

    def _unpack(self, path: str) -> str:
        """A temporary file with what is compressed in `path`: libpcap reads plain files only."""
        self._unpacked = tempfile.NamedTemporaryFile(prefix="spead-transport-")  # noqa: SIM115 - close() does it
        with gzip.open(path) as packed:
            shutil.copyfileobj(packed, self._unpacked)
        self._unpacked.flush()
        return self._unpacked.name

    def _remove_unpacked(self) -> None:
        if self._unpacked is not None:
            self._unpacked.close()

    def _check_link(self) -> int:
        link_type = int(self._pcap.datalink())
        if link_type not in LINK_TYPES:
            known = ", ".join(f"{name} ({number})" for number, name in LINK_TYPES.items() if number != 12)
            raise TransportError(f"captured on a link of type {link_type}; known: {known}", url=self._url)
        return link_type

    def _set_filter(self, filter: str) -> None:
        try:
            if filter:
                self._pcap.setfilter(filter)
        except cypcap.Error as error:
            raise TransportError(
                f"filter {filter!r}: {_text(error)}", url=self._url, hint="filters are as in pcap-filter(7)"
            ) from error


def _text(error: cypcap.Error) -> str:
    return str(error.args[-1])
