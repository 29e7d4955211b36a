"""``file://path``: packets in files, pipes and the like."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from spead_transport.errors import TransportError
from spead_transport.transport import Transport, TransportConfig

from .config import FileConfig
from .opening import open_for_reading, open_for_writing
from .receiver import FileReceiver
from .sender import CAPABILITIES, FileSender

__all__ = ["FileTransport"]

_serial: Final = itertools.count(1)


class FileTransport(Transport[FileConfig]):
    """Packets follow each other in a file with nothing in between, as the specification's section on media has it.

    The file may be a regular one, a named pipe, a device such as a serial line, or standard input or output.
    """

    contract = 1
    scheme = "file"
    config_type: ClassVar[type[TransportConfig]] = FileConfig
    capabilities = CAPABILITIES

    @classmethod
    def loopback_url(cls) -> str:
        """A URL of a new named pipe, which is removed when the program ends."""
        path = _pipe_folder() / f"{next(_serial)}"
        os.mkfifo(path)
        return cls(FileConfig(path=str(path))).url

    def open_sender(self) -> FileSender:
        """A sender that writes to the file. If it is a named pipe, the call waits for somebody to read it.

        Raises
        ------
        TransportError
            If the system refuses, or nobody reads the named pipe within ``open_timeout``.
        """
        fd = open_for_writing(self.config, self.url)
        try:
            return FileSender(fd, self.url)
        except BaseException:
            os.close(fd)
            raise

    def open_receiver(self) -> FileReceiver:
        """A receiver that reads the file from its beginning.

        Raises
        ------
        TransportError
            If the system refuses.
        """
        config = self.config
        fd = open_for_reading(config, self.url)
        try:
            return FileReceiver(fd, self.url, follow=config.follow, max_packet_size=config.max_packet_size)
        except OSError as error:
            os.close(fd)
            raise TransportError(
                "cannot watch the file",
                errno=error.errno,
                url=self.url,
                hint="see sysctl fs.inotify.max_user_instances and fs.inotify.max_user_watches",
            ) from error
        except BaseException:
            os.close(fd)
            raise


@cache
def _pipe_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="spead-transport-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
