"""Streams with chunks are tested with each engine; and a placement in C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from spead_transport.engine.selection import ENVIRONMENT_VARIABLE

_CODE: Final = r"""
#include <stddef.h>
#include <stdint.h>
struct place {
    const uint8_t *packet; size_t packet_size; const int64_t *items; int64_t chunk_id; size_t heap_index;
    size_t heap_offset; uint64_t *batch_stats; uint8_t *extra; size_t extra_offset; size_t extra_size;
};
struct settings { uint64_t heap_size; uint64_t calls; };
void place(void *data, size_t size) {
    struct place *heap = data;
    if (size < sizeof *heap || heap->packet[0] != 0x53 || heap->packet_size < 8) return;
    heap->chunk_id = heap->items[0];
    heap->heap_index = heap->items[1];
    heap->heap_offset = heap->items[1] * 16;
}
void place_with_settings(void *data, size_t size, void *user_data) {
    struct settings *settings = user_data;
    struct place *heap = data;
    place(data, size);
    heap->heap_offset = heap->heap_index * settings->heap_size;
    settings->calls++;
}
"""


@pytest.fixture(autouse=True)
def _chosen_engine(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine of rings and streams."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, engine)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Callbacks made by the system's C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder: Path = tmp_path_factory.mktemp("callback")
    (folder / "place.c").write_text(_CODE)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", "place.so", "place.c"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "place.so"))
