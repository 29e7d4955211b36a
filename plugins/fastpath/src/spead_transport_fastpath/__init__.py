"""The native engine of ``spead_transport``: the same streams, moved by a C++ library.

Installing this distribution is all that is needed: the engine is found by its entry point and preferred to the one
written in Python. ``SPEAD_TRANSPORT_ENGINE=python``, or an ``engine="python"`` parameter, goes back.
"""

from __future__ import annotations

from pathlib import Path

from .engine import NativeEngine

__all__ = ["NativeEngine", "get_include"]


def get_include() -> str:
    """The folder of ``spead_transport.h``, for native transports to be compiled with."""
    # An editable installation has two folders: the sources', and one for what was built.
    folders = [Path(folder, "include") for folder in __path__]
    return str(next(folder for folder in folders if folder.is_dir()))
