"""The library's threads of a thread pool."""

from __future__ import annotations

from spead_transport.engine.thread_pool import ThreadPool

from . import _native

__all__ = ["assign_worker"]


def assign_worker(thread_pool: ThreadPool) -> _native.Worker:
    """The thread of a pool that drives what is added next."""
    return thread_pool.workers("native", _native.Workers, _native.Workers).assign()
