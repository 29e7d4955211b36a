"""``inproc://name``: queues that are found by name within the process."""

from __future__ import annotations

import errno
import functools
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Self
from urllib.parse import quote

import attrs

from spead_transport.errors import TransportError
from spead_transport.transport import Transport, TransportConfig, option

from .endpoints import CAPABILITIES, InprocReceiver, InprocSender
from .queue import InprocQueue, Mode, Policy

__all__ = ["InprocConfig", "InprocTransport"]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _check_names(_: object, __: object, text: str) -> None:
    names = _names(text)
    if not all(names):
        raise ValueError(f"expected the name of a queue, or several with commas between them, not {text!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"each queue can be named once only, not as in {text!r}")


@attrs.frozen(kw_only=True)
class InprocConfig(TransportConfig):
    """Options of in-process transport. All users of one queue must give the same."""

    name: str = option(
        "default",
        "name of the queue, or of several (a,b,c): one for each destination",
        address=True,
        validator=[attrs.validators.instance_of(str), _check_names],
    )
    max_packets: int | None = option(
        None,
        "how many packets may wait; no limit if not given",
        unit="packets",
        validator=attrs.validators.optional(attrs.validators.ge(1)),
    )
    max_bytes: int | None = option(
        None,
        "how many bytes may wait; no limit if not given",
        unit="bytes",
        validator=attrs.validators.optional(attrs.validators.ge(1)),
    )
    policy: Policy = option(
        "block",
        "when a limit is reached: block (the sender waits), error (it fails), drop-oldest",
        validator=attrs.validators.in_(("block", "error", "drop-oldest")),
    )
    mode: Mode = option(
        "share",
        "several receivers: share (each packet goes to one of them) or fanout (each receiver gets all packets)",
        validator=attrs.validators.in_(("share", "fanout")),
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each queue."""
        return _names(self.name)


class _NamedQueue(InprocQueue):
    """A queue that knows who uses it. Once it was left for good, nobody can join it any more."""

    def __init__(self, name: str, config: InprocConfig) -> None:
        super().__init__(
            max_packets=config.max_packets,
            max_bytes=config.max_bytes,
            policy=config.policy,
            mode=config.mode,
            name=name,
        )
        self.config = config
        self._senders = 0
        self._receivers = 0
        self._released = False

    def join(self, config: InprocConfig, *, sender: bool) -> bool:
        """Count a user; False if the queue has come to its end and a new one must take its place.

        Raises
        ------
        TransportError
            If the queue was made with another configuration.
        """
        with self._lock:
            if self._released or (self.stopped and (self._ending or not self._waiting().packets)):
                return False
            if config != self.config:
                raise TransportError(
                    f"the queue is in use as {self.config.to_url(InprocTransport.scheme)}",
                    errno=errno.EINVAL,
                    url=config.to_url(InprocTransport.scheme),
                    hint="give the same options to everybody who uses the queue, or use another name",
                )
            if sender:
                self._senders += 1
                self._set_ending(False)
            else:
                self._receivers += 1
            return True

    def leave(self, *, sender: bool) -> bool:
        """Discount a user; True if the queue was left for good: by a receiver, or with nothing in it."""
        if self._foreign:
            return False
        with self._lock:
            if sender:
                self._senders -= 1
            else:
                self._receivers -= 1
            if self._senders == 0 and sender:
                self._set_ending(True)
            if self._senders or self._receivers or (sender and self._waiting().packets):
                return False
            self._released = True
            self.stop()
            return True


class _Names:
    """The queues that have a name at present.

    Its lock guards the dictionary only and is never held while a queue's is taken: a leaked endpoint may be
    collected, and leave its queue, in a thread that holds any of them.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._queues: dict[str, _NamedQueue] = {}

    def join(self, config: InprocConfig, *, sender: bool) -> list[_NamedQueue]:
        """The queues that `config` names, made as needed; the caller is a user of them until :meth:`leave`."""
        queues: list[_NamedQueue] = []
        with ExitStack() as undo:
            for name in config.names:
                queues.append(self._join_one(name, config, sender))
                undo.callback(self.leave, queues[-1:], sender=sender)
            undo.pop_all()
        return queues

    def queues(self) -> list[_NamedQueue]:
        with self._lock:
            return list(self._queues.values())

    def leave(self, queues: Iterable[_NamedQueue], *, sender: bool) -> None:
        for queue in queues:
            if queue.leave(sender=sender):
                self._remove(queue)

    def _join_one(self, name: str, config: InprocConfig, sender: bool) -> _NamedQueue:
        own = attrs.evolve(config, name=name)
        while True:
            with self._lock:
                queue = self._queues.get(name)
                if queue is None:
                    queue = self._queues[name] = _NamedQueue(name, own)
            if queue.join(own, sender=sender):
                return queue
            self._remove(queue)

    def _remove(self, queue: _NamedQueue) -> None:
        with self._lock:
            if self._queues.get(queue.name) is queue:
                del self._queues[queue.name]


_names_in_use = _Names()


def _after_fork_in_child() -> None:
    """The child process starts without queues: those of the parent share file descriptors with it."""
    global _names_in_use
    _names_in_use = _Names()


os.register_at_fork(after_in_child=_after_fork_in_child)


class InprocTransport(Transport[InprocConfig]):
    """Packets move through queues in memory, which the URL names.

    A queue is there as soon as somebody opens a sender or a receiver for its name, in any order, and is released
    with its last user. When its last sender closes, its receivers get what waits, and then the end. What waits
    while there is no receiver is kept for the next one, whoever closed meanwhile; a receiver that closes as the last
    user discards it. A sender that is opened before any receiver was told of the end continues the stream; one that
    is opened later starts a new one.
    """

    contract = 1
    scheme = "inproc"
    config_type: ClassVar[type[TransportConfig]] = InprocConfig
    capabilities = CAPABILITIES

    @classmethod
    def loopback_url(cls) -> str:
        return f"{cls.scheme}://{uuid.uuid4()}"

    @classmethod
    def for_channels(cls, names: Sequence[str]) -> Self:
        # A comma would make two names of one; percent-encoding is what names of any kind are used to in URLs.
        return cls(InprocConfig(name=",".join(quote(name, safe="/:@[]+;*") for name in names), mode="fanout"))

    @classmethod
    def leftovers(cls) -> dict[str, str]:
        return {f"inproc://{queue.name}": repr(queue) for queue in _names_in_use.queues()}

    def open_sender(self) -> InprocSender:
        with self._joined(sender=True) as (queues, leave):
            return InprocSender(queues, url=self.url, on_close=leave)

    def open_receiver(self) -> InprocReceiver:
        with self._joined(sender=False) as (queues, leave):
            return InprocReceiver(*queues, url=self.url, on_close=leave)

    @contextmanager
    def _joined(self, *, sender: bool) -> Iterator[tuple[list[_NamedQueue], Callable[[], None]]]:
        """The queues for a new endpoint, and what leaves them; an exception leaves them too."""
        names = _names_in_use
        queues = names.join(self.config, sender=sender)
        leave = functools.partial(names.leave, queues, sender=sender)
        with ExitStack() as undo:
            undo.callback(leave)
            yield queues, leave
            undo.pop_all()
