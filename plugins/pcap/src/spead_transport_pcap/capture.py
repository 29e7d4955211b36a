"""Capture files of all kinds."""

from __future__ import annotations

import contextlib
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

from .bpf import Filter, UnsupportedFilterError
from .frames import LINK_TYPES
from .payloads import NONE, Payloads, Source
from .records import FILE_HEADER_SIZE, Format, RecordFile

__all__ = ["Capture", "FrameByFrame"]

_log = logging.getLogger("spead_transport")
_GZIP_MAGIC: Final = b"\x1f\x8b"
#: Frames looked at in one call.
_MOST_FRAMES: Final = 1024


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
    timed
        Whether anybody wants to know when frames were captured.

    Raises
    ------
    TransportError
        If the file cannot be read, is no capture, was captured on a link that is not supported, or if the filter is
        malformed.
    """

    def __init__(self, path: str, filter: str, url: str, *, timed: bool = True) -> None:
        self._url = url
        self._timed = timed
        self._unpacked: tempfile._TemporaryFileWrapper[bytes] | None = None
        try:
            self._pcap = self._open(path)
        except BaseException:
            self._remove_unpacked()
            raise
        try:
            self._source = self._source_of(path, self._check_link(), self._compile(filter))
        except BaseException:
            self._pcap.close()
            self._remove_unpacked()
            raise

    @property
    def drops(self) -> Counter[str]:
        """Frames without a payload, by reason."""
        return self._source.drops

    @property
    def ended(self) -> bool:
        """Whether there are no more frames."""
        return self._source.ended

    def close(self) -> None:
        """Close the file."""
        self._source.close()
        self._pcap.close()
        self._remove_unpacked()

    def read(self) -> Payloads:
        """The next payloads, which are valid until the next call; see :meth:`.payloads.Source.read`."""
        return self._source.read()

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

    def _compile(self, filter: str) -> cypcap.BpfProgram | None:
        try:
            return self._pcap.compile(filter) if filter else None
        except cypcap.Error as error:
            raise TransportError(
                f"filter {filter!r}: {_text(error)}", url=self._url, hint="filters are as in pcap-filter(7)"
            ) from error

    def _source_of(self, path: str, link_type: int, program: cypcap.BpfProgram | None) -> Source:
        """What is in the common format is read many frames at a time, everything else by libpcap."""
        if self._unpacked is not None:
            path = self._unpacked.name
        with open(path, "rb") as file:
            kind = Format.of(file.read(FILE_HEADER_SIZE))
        if kind is not None:
            with contextlib.suppress(UnsupportedFilterError):
                wanted = None if program is None else Filter([*program])
                return RecordFile(path, kind, link_type, self._pcap.snapshot(), wanted, self._timed, self._url)
        return FrameByFrame(self._pcap, link_type, program, self._url)


class FrameByFrame:
    """The UDP payloads that libpcap reads; see :class:`.payloads.Source`.

    Parameters
    ----------
    pcap
        The open capture.
    link_type
        What frames look like, one of :data:`.frames.LINK_TYPES`.
    program
        Which frames are wanted; ``None`` for all.
    url
        What messages call it.
    """

    def __init__(self, pcap: cypcap.Pcap, link_type: int, program: cypcap.BpfProgram | None, url: str) -> None:
        self.drops: Counter[str] = Counter()
        self.ended: bool = False
        self._link_type = link_type
        self._url = url
        if program is not None:
            pcap.setfilter(program)
        self._frames = iter(pcap)

    def read(self) -> Payloads:
        if self.ended:
            return NONE
        frames: list[bytes] = []
        times: list[float] = []
        try:
            for header, frame in itertools.islice(self._frames, _MOST_FRAMES):
                frames.append(frame)
                times.append(header.ts)
            self.ended = len(frames) < _MOST_FRAMES
        except cypcap.Error as error:
            self.ended = True
            self.drops["unreadable"] += 1
            _log.warning("%s: the rest of the capture cannot be read: %s", self._url, _text(error))
        payloads, reasons = Payloads.in_copies(self._link_type, frames, times)
        self.drops.update(reasons)
        return payloads

    def close(self) -> None:
        """Whoever opened the capture closes it."""


def _text(error: cypcap.Error) -> str:
    return str(error.args[-1])
