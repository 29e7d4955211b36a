"""Memory for heaps from anywhere: what an allocator may give, and what happens when it gives nonsense."""

from __future__ import annotations

import copy
import mmap
import pickle

import numpy as np
import pytest

from spead_transport import InprocQueue, MemoryAllocator, MmapAllocator, Stopped, ThreadPool, recv
from spead_transport.transport import BufferLike

from ..wire import packet


class Recording(MemoryAllocator):
    """Gives what it is told to give, and keeps the sizes that were asked for."""

    def __init__(self, *buffers: BufferLike) -> None:
        self._buffers = list(buffers)
        self.sizes: list[int] = []

    def allocate(self, size: int) -> BufferLike:
        self.sizes.append(size)
        return self._buffers.pop(0)


def receive(engine: str, allocator: MemoryAllocator, *packets: bytes) -> recv.Stream:
    queue = InprocQueue()
    for data in packets:
        queue.add_packet(data)
    queue.stop()
    stream = recv.Stream(ThreadPool(), recv.StreamConfig(memory_allocator=allocator), engine=engine)
    stream.add_inproc_reader(queue)
    return stream


def payload_of(stream: recv.Stream) -> bytes:
    heap = stream.get(timeout=30)
    assert isinstance(heap, recv.Heap)
    return heap.payload.tobytes()


def test_any_writable_buffer_will_do(engine: str) -> None:
    buffers: list[BufferLike] = [bytearray(8), np.zeros(4, np.uint32), mmap.mmap(-1, 8), memoryview(bytearray(20))]
    allocator = Recording(*buffers)
    packets = [packet(cnt, bytes([cnt]) * 8) for cnt in range(1, 5)]
    with receive(engine, allocator, *packets) as stream:
        assert [payload_of(stream) for _ in packets] == [bytes([cnt]) * 8 for cnt in range(1, 5)]
    assert allocator.sizes == [8] * 4
    assert buffers[0] == bytes([1]) * 8, "the heap must lie in the memory that the allocator gave"


@pytest.mark.parametrize(
    ("buffer", "message"),
    [
        (bytearray(7), "asked for 8 bytes and gave 7"),
        (bytes(8), "cannot be written to"),
        (np.zeros(16, np.uint8)[::2], "contiguous"),
    ],
)
def test_useless_memory_ends_the_stream_with_an_error(engine: str, buffer: BufferLike, message: str) -> None:
    with receive(engine, Recording(buffer), packet(1, b"x" * 8)) as stream:
        with pytest.raises(ValueError, match=message):
            stream.get(timeout=30)
        with pytest.raises(Stopped):
            stream.get(timeout=30)


@pytest.mark.parametrize("allocator", [MmapAllocator(), MmapAllocator(mmap.MAP_POPULATE), MmapAllocator(0, True)])
def test_mapped_memory(engine: str, allocator: MmapAllocator) -> None:
    with receive(engine, allocator, packet(1, b"x" * 5000), packet(2, b"")) as stream:
        assert payload_of(stream) == b"x" * 5000
        assert payload_of(stream) == b""


def test_mapped_memory_is_whole_huge_pages_or_ordinary_ones() -> None:
    memory = np.frombuffer(MmapAllocator(prefer_huge=True).allocate(5000), np.uint8)
    assert len(memory) >= 5000
    assert not memory.any()
    memory[:] = 1


def test_flags_that_the_system_refuses() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        MmapAllocator(mmap.MAP_SHARED).allocate(100)
    with pytest.raises(TypeError, match="flags"):
        MmapAllocator(-1)
    with pytest.raises(TypeError, match="prefer_huge"):
        MmapAllocator(0, "yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_more_than_there_is() -> None:
    with pytest.raises(MemoryError, match="no memory to map"):
        MmapAllocator().allocate(1 << 60)


def test_allocators_with_equal_settings_are_equal() -> None:
    assert MmapAllocator(1, True) == MmapAllocator(1, True)
    assert hash(MmapAllocator(1, True)) == hash(MmapAllocator(1, True))
    assert MmapAllocator(1) != MmapAllocator(2)
    assert MmapAllocator() != MemoryAllocator()
    assert MemoryAllocator() == MemoryAllocator()


def test_a_configuration_with_an_allocator_can_be_copied_and_pickled() -> None:
    config = recv.StreamConfig(memory_allocator=MmapAllocator(mmap.MAP_POPULATE, True))
    assert copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert "prefer_huge=True" in repr(config)
