"""Streams to and from files, of this package and of spead2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import spead2
import spead2.recv
import spead2.send

import spead_transport
from spead_transport import send

VALUES = np.arange(100_000, dtype=np.float64)


def _record(path: Path, count: int, mode: str = "create") -> None:
    group = send.ItemGroup()
    group.add_item(0x1000, "values", "whatever is sent", VALUES.shape, VALUES.dtype, value=VALUES)
    with spead_transport.open_sender(f"file://{path}?mode={mode}") as stream:
        for _ in range(count):
            stream.send_heap(group.get_heap(descriptors="all", data="all"))


def test_a_recording_is_replayed(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "recording.spead"
    _record(path, 3)
    group = spead_transport.ItemGroup()
    with spead_transport.open_receiver(f"file://{path}", engine=engine) as stream:
        for heap in stream:
            np.testing.assert_array_equal(group.update(heap)["values"].value, VALUES)
        assert stream.stats["heaps"] == 3


def test_damage_is_counted(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "recording.spead"
    _record(path, 2)
    data = path.read_bytes()
    path.write_bytes(b"odd" + b"junkjunk" * 2 + data[:-100])
    with spead_transport.open_receiver(f"file://{path}", engine=engine) as stream:
        assert [heap.cnt for heap in stream] == [1]
        stats = stream.stats
        rejected = {name: count for name, count in stats.items() if name.startswith("rejected_") and count}
        assert sum(rejected.values()) == 4
        assert stats["incomplete_heaps_flushed"] == 1


def test_a_recording_of_ours_is_read_by_spead2(tmp_path: Path) -> None:
    path = tmp_path / "recording.spead"
    _record(path, 3)
    stream = spead2.recv.Stream(spead2.ThreadPool())
    stream.add_buffer_reader(path.read_bytes())
    group = spead2.ItemGroup()
    for heap in stream:
        np.testing.assert_array_equal(group.update(heap)["values"].value, VALUES)
    assert stream.stats["heaps"] == 3


def test_a_recording_of_spead2_is_read_by_ours(tmp_path: Path) -> None:
    group = spead2.send.ItemGroup()
    group.add_item(0x1000, "values", "whatever is sent", VALUES.shape, VALUES.dtype, value=VALUES)
    recording = spead2.send.BytesStream(spead2.ThreadPool())
    for _ in range(3):
        recording.send_heap(group.get_heap(descriptors="all", data="all"))
    path = tmp_path / "recording.spead"
    path.write_bytes(recording.getvalue())
    ours = spead_transport.ItemGroup()
    with spead_transport.open_receiver(f"file://{path}") as stream:
        assert [heap.cnt for heap in stream if len(ours.update(heap))] == [1, 2, 3]
    np.testing.assert_array_equal(ours["values"].value, VALUES)
