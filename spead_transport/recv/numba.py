"""Placement of heaps in chunks by callbacks that are compiled by numba, which must be installed."""

from __future__ import annotations

from typing import Final

from numba import types  # pyright: ignore[reportMissingModuleSource]

__all__ = ["chunk_place_data"]

#: The record that a placement callback gets: see :class:`spead_transport.engine.chunks.callback.ChunkPlaceData`.
#: Pointers are integers in it, which :func:`spead_transport.numba.intp_to_voidptr` makes pointers again.
chunk_place_data: Final = types.Record.make_c_struct(
    [
        ("packet", types.intp),
        ("packet_size", types.uintp),
        ("items", types.intp),
        ("chunk_id", types.int64),
        ("heap_index", types.uintp),
        ("heap_offset", types.uintp),
        ("batch_stats", types.intp),
        ("extra", types.intp),
        ("extra_offset", types.uintp),
        ("extra_size", types.uintp),
    ]
)
