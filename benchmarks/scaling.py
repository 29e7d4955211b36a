"""How the cost grows with what a program has many of: small heaps over many queues, to one stream or to as many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Final

import attrs

from .library import Library, Theirs
from .operation import Operation
from .streams import patiently

__all__ = ["across_queues", "across_streams"]

_HEAP_SIZE: Final = 1024
_PACKET_SIZE: Final = 1472
_BATCH: Final = 256  #: heaps in one call, spread over all queues


@contextmanager
def across_streams(library: Library, *, streams: int) -> Iterator[Operation]:
    """As many receiving streams as queues. One thread drains them all."""
    library = attrs.evolve(library, worker=library.module.__name__ != "spead2")
    with ExitStack() as stack:
        queues = _queues(library, streams, stack)
        thread_pool = library.module.ThreadPool(1)
        config = library.receive_config(_HEAP_SIZE)
        receivers = []
        for queue in queues:
            receiver = library.receiver(config, _BATCH, thread_pool=thread_pool)
            stack.callback(receiver.stop)
            library.add_queue(receiver, queue)
            receivers.append(receiver)
        yield _exchange(library, queues, receivers)


@contextmanager
def across_queues(library: Library, *, queues: int) -> Iterator[Operation]:
    """One receiving stream, with as many substreams as queues."""
    with ExitStack() as stack:
        all_queues = _queues(library, queues, stack)
        receiver = library.receiver(library.receive_config(_HEAP_SIZE, substreams=queues), _BATCH)
        stack.callback(receiver.stop)
        for queue in all_queues:
            library.add_queue(receiver, queue)
        yield _exchange(library, all_queues, [receiver])


def _queues(library: Library, count: int, stack: ExitStack) -> list[Theirs]:
    queues = [library.module.InprocQueue() for _ in range(count)]
    for queue in queues:
        stack.callback(queue.stop)
    return queues


def _exchange(library: Library, queues: list[Theirs], receivers: list[Theirs]) -> Operation:
    """Send a batch and receive it."""
    config = library.send_config(_PACKET_SIZE, _BATCH)
    sender = library.module.send.InprocStream(library.module.ThreadPool(), queues, config)
    send = library.sending(sender, library.heap(_HEAP_SIZE), _BATCH, len(queues))
    each = _BATCH // len(receivers)

    def run(heaps: int) -> None:
        with patiently(*receivers):
            for _ in range(heaps // _BATCH):
                send()
                for receiver in receivers:
                    for _ in islice(receiver, each):
                        pass

    return Operation(run, step=_BATCH)
