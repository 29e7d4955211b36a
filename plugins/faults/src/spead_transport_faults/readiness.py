"""Waiting for another endpoint, or for something of one's own."""

from __future__ import annotations

from spead_transport.transport import FdSetReadiness, Readiness

__all__ = ["AroundReadiness"]


class AroundReadiness(FdSetReadiness):
    """Reports what an inner readiness does, while it is watched, and a condition that is set.

    Parameters
    ----------
    inner
        The readiness of the endpoint within.
    """

    def __init__(self, inner: Readiness) -> None:
        super().__init__()
        self._inner = inner
        self._watching = False

    def watch(self, watching: bool) -> None:
        """Whether to report what the inner readiness does."""
        if watching != self._watching:
            self._watching = watching
            (self.add if watching else self.remove)(self._inner.fileno())

    def acknowledge(self) -> None:
        super().acknowledge()
        self._inner.acknowledge()
