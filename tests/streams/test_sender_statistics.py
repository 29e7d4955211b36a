"""What a sending stream counts: every heap once."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from spead_transport import InprocQueue, TransportError, send
from spead_transport.send import GroupMode, HeapReference, SenderStatistics, StreamConfig

from ..items import heap_of


def bounded(packets: int) -> InprocQueue:
    return InprocQueue(max_packets=packets)


def test_heaps_that_are_sent(engine: str) -> None:
    with send.InprocStream(None, [InprocQueue()], StreamConfig(max_heaps=5), engine=engine) as stream:
        assert stream.statistics() == SenderStatistics()
        nbytes = stream.send_heap(heap_of())
        nbytes += stream.send_heaps([HeapReference(heap_of()) for _ in range(3)], GroupMode.SERIAL)
        assert stream.statistics() == SenderStatistics(heaps_sent=4, bytes_sent=nbytes, peak_waiting=3)


def test_heaps_that_fail(engine: str) -> None:
    queue = InprocQueue()
    queue.stop()
    with send.InprocStream(None, [queue], engine=engine) as stream:
        with pytest.raises(TransportError):
            stream.send_heap(heap_of())
        assert stream.statistics() == SenderStatistics(heaps_failed=1, peak_waiting=1)


def test_heaps_that_run_out_of_time(engine: str) -> None:
    with send.InprocStream(None, [bounded(1)], engine=engine) as stream:
        with pytest.raises(TimeoutError):
            stream.send_heap(heap_of(np.zeros(5000, np.uint8)), timeout=0.01)
        assert stream.statistics().heaps_failed == 1
        assert stream.statistics().heaps_waiting == 0


def test_heaps_that_are_refused(engine: str) -> None:
    with send.InprocStream(None, [InprocQueue()], StreamConfig(max_heaps=1), engine=engine) as stream:
        with pytest.raises(BlockingIOError):
            stream.send_heaps([HeapReference(heap_of()) for _ in range(2)], GroupMode.SERIAL)
        assert stream.statistics() == SenderStatistics(heaps_refused=2, peak_waiting=2)


def test_a_heap_that_waits(engine: str) -> None:
    with send.InprocStream(None, [bounded(1)], engine=engine) as stream:
        failed = threading.Event()

        def block() -> None:
            try:
                stream.send_heap(heap_of(np.zeros(5000, np.uint8)))
            except TransportError:
                failed.set()

        thread = threading.Thread(target=block)
        thread.start()
        while not stream.statistics().heaps_waiting:
            pass
        stream.close()
        thread.join()
        assert failed.is_set()
        # One packet went out.
        assert stream.statistics() == SenderStatistics(heaps_failed=1, bytes_sent=1472, peak_waiting=1)


async def test_asyncio(engine: str) -> None:
    queue = InprocQueue()
    stream = send.asyncio.InprocStream(None, [queue], StreamConfig(max_heaps=4), engine=engine)
    async with stream:
        nbytes = await stream.async_send_heap(heap_of())
        references = [HeapReference(heap_of()) for _ in range(5)]
        with pytest.raises(BlockingIOError):
            await stream.async_send_heaps(references, GroupMode.SERIAL)
        queue.stop()
        with pytest.raises(TransportError):
            await stream.async_send_heap(heap_of())
        assert stream.statistics() == SenderStatistics(
            heaps_sent=1, bytes_sent=nbytes, heaps_refused=5, heaps_failed=1, peak_waiting=5
        )
