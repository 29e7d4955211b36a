"""Log messages about what arrives from the network: whoever sends must not be able to flood the log."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["Notices"]

#: A message of one kind appears at most this often, in seconds.
_INTERVAL: Final = 10.0


class Notices:
    """Logs each kind of message now and then, with the number of times that it did not.

    Parameters
    ----------
    logger
        Where to.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def warn(self, kind: str, now: float, message: str, *arguments: object) -> None:
        """Log a message at level WARNING, unless one of its `kind` was logged a short while before `now`."""
        if now < self._next.get(kind, now):
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return
        self._next[kind] = now + _INTERVAL
        held_back = self._held_back.pop(kind, 0)
        self._logger.warning(message + (f" ({held_back} more like this)" if held_back else ""), *arguments)
