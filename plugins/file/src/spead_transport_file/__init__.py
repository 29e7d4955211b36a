"""SPEAD in files, pipes, standard input and output, and on serial lines: raw packets, back to back."""

from __future__ import annotations

from .config import FileConfig
from .receiver import FileReceiver
from .sender import FileSender
from .transport import FileTransport

__all__ = ["FileConfig", "FileReceiver", "FileSender", "FileTransport"]
