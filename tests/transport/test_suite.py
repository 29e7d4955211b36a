"""The conformance suite finds what it looks for: each check fails for a transport that breaks its rule."""

from __future__ import annotations

import gc
import inspect
import re
import struct
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Final, Self, TypeVar

import attrs
import numpy as np
import pytest
from spead_transport_inproc import InprocConfig, InprocReceiver, InprocSender, InprocTransport

from spead_transport.errors import EndOfStream, TransportError
from spead_transport.protocol import batch as batch_module
from spead_transport.testing import ConformanceError, TransportUnderTest, checks_for, endpoint_checks, packet_checks
from spead_transport.testing import packets as packet_tools
from spead_transport.transport import (
    Capabilities,
    EventReadiness,
    FdSetReadiness,
    PacketBatch,
    contract,
    options,
    readiness,
)

T = TypeVar("T")
Part = type[InprocSender] | type[InprocReceiver] | type[FdSetReadiness]

_MODULES: Final = (endpoint_checks, packet_checks)
_CAPABILITIES: Final = InprocTransport.capabilities
#: What a transport must promise for all checks to apply.
_EVERYTHING: Final = attrs.evolve(_CAPABILITIES, largest_packet=5000)
_CHECKS: Final = {
    check.name: check
    for check in checks_for(_EVERYTHING)
    if check.function.__module__ in {module.__name__ for module in _MODULES}
}


class Broken(InprocTransport):
    """A transport within the process whose parts can be replaced by worse ones."""

    sender: ClassVar[type[InprocSender]] = InprocSender
    receiver: ClassVar[type[InprocReceiver]] = InprocReceiver
    readiness: ClassVar[type[FdSetReadiness]] = FdSetReadiness
    settings: ClassVar[str] = ""

    @classmethod
    def loopback_url(cls) -> str:
        return f"{super().loopback_url()}{cls.settings}"

    def open_sender(self) -> InprocSender:
        sender = super().open_sender()
        sender.__class__ = self.sender
        return sender

    def open_receiver(self) -> InprocReceiver:
        receiver = super().open_receiver()
        receiver.__class__ = self.receiver
        receiver.readable.__class__ = self.readiness
        return receiver


#: For each check, a transport that must not pass it.
_BROKEN: Final[dict[str, type[Broken]]] = {}


def breaks(
    *names: str, settings: str = "", capabilities: Capabilities = _CAPABILITIES
) -> Callable[[type[T]], type[T]]:
    """Decorator for a bad transport, or a bad part of one: these checks must find what is wrong with it."""

    def note(bad: type[T]) -> type[T]:
        kinds = {"sender": InprocSender, "receiver": InprocReceiver, "readiness": FdSetReadiness}
        parts: dict[str, Any] = {kind: bad for kind, base in kinds.items() if issubclass(bad, base)}
        base = bad if issubclass(bad, Broken) else Broken
        made = type(bad.__name__, (base,), parts | {"settings": settings, "capabilities": capabilities})
        _BROKEN.update(dict.fromkeys(names, made))
        return bad

    return note


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", sorted(_CHECKS))
def test_a_check_finds_what_it_looks_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (*_MODULES, packet_tools):
        monkeypatch.setattr(module, "PATIENCE", 0.2)
    check = _CHECKS[name]
    with pytest.raises(ConformanceError) as caught:
        check.run(TransportUnderTest(_BROKEN[name]))
    assert name in str(caught.value)
    assert check.sentence in str(caught.value)
    del caught
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        HOARD.clear()
        gc.collect()


def test_checks_quote_the_contract() -> None:
    text = " ".join(_plain(inspect.getsource(module)) for module in (contract, readiness, options, batch_module))
    unknown = [f"{check}: {check.sentence}" for check in _CHECKS.values() if _plain(check.sentence) not in text]
    assert not unknown


def _plain(text: str) -> str:
    """Source code or text without what marks comments, names and emphasis, in one line."""
    text = re.sub(r":[a-z]+:`([^`<]*?)(?: <[^>]*>)?`", r"\1", text)
    return " ".join(re.sub(r"#:|[`*]", "", text).split())


def test_capabilities_decide_what_applies() -> None:
    modest = Capabilities(lossy=True, ordered=False, reach="network")
    names = {check.name for check in checks_for(modest)}
    assert names < {check.name for check in checks_for(_EVERYTHING)}
    assert not names & {
        "order_is_kept_from_batch_to_batch",
        "a_receiver_that_is_not_called_loses_nothing",
        "each_destination_gets_its_own_packets",
        "the_end_comes_with_the_last_sender",
    }


def test_names_of_checks_are_unique() -> None:
    names = [check.name for check in checks_for(_EVERYTHING)]
    assert len(set(names)) == len(names)


def test_a_transport_without_a_loopback_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Transport has no URL"):
        contract.Transport.loopback_url()


# ------------------------------------------------------------------------------------------------- configuration


class ForgetfulConfig(InprocConfig):
    def to_url(self, scheme: str) -> str:
        return super().to_url(scheme).partition("?")[0]


@breaks("url_and_configuration_say_the_same", settings="?max_packets=1000")
class ForgetsItsOptions(Broken):
    config_type = ForgetfulConfig


class ThawedConfig(InprocConfig):
    __setattr__ = object.__setattr__


@breaks("configuration_is_a_value")
class CanBeChanged(Broken):
    config_type = ThawedConfig


@breaks("unknown_options_are_refused")
class TakesAnyOption(Broken):
    @classmethod
    def from_url(cls, url: str) -> Self:
        return super().from_url(url.partition("?")[0])


@breaks("nothing_is_opened_before_it_is_asked_for")
class OpensEarly(Broken):
    def __init__(self, config: InprocConfig) -> None:
        super().__init__(config)
        self.descriptor = EventReadiness()


@breaks("endpoints_state_their_capabilities")
class ReachesFurther(InprocReceiver):
    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(super().capabilities, reach="network")


@breaks("endpoints_know_their_urls")
class DoesNotKnowItsUrl(InprocReceiver):
    @property
    def url(self) -> str:
        return "somewhere"


# ----------------------------------------------------------------------------------------------------- readiness


@breaks("readiness_is_one_object")
class NewReadinessEachTime(InprocReceiver):
    @property
    def readable(self) -> FdSetReadiness:
        return FdSetReadiness()


@breaks("readiness_settles_when_there_is_nothing")
class AlwaysReady(InprocReceiver):
    def try_recv(self, limit: int) -> PacketBatch:
        batch = super().try_recv(limit)
        self.readable.set()
        return batch


@breaks("readiness_is_never_late")
class NeverReady(FdSetReadiness):
    def set(self) -> None:
        pass


class Deaf(EventReadiness):
    def set(self) -> None:
        pass

    def wake(self) -> None:
        pass


@breaks("wake_ends_a_wait")
class CannotBeWoken(FdSetReadiness):
    def wake(self) -> None:
        pass


@breaks("asyncio_can_wait")
class DoesNotWait(FdSetReadiness):
    async def wait_async(self) -> None:
        pass


# ------------------------------------------------------------------------------------------------------- closing


@breaks("close_can_be_repeated")
class ClosesOnce(InprocReceiver):
    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        super().close()


@breaks("a_closed_endpoint_says_so")
class SilentWhenClosed(InprocReceiver):
    def try_recv(self, limit: int) -> PacketBatch:
        return PacketBatch.of([]) if self.closed else super().try_recv(limit)


@breaks("closing_wakes_who_waits_for_packets", "closing_wakes_who_waits_in_an_event_loop")
class LetsWaitersSleep(InprocReceiver):
    def _release_resources(self) -> None:
        kept, self._readable = self._readable, FdSetReadiness()
        super()._release_resources()
        self._readable = kept


@breaks("closing_wakes_who_waits_for_room", settings="?max_packets=4")
class LetsSendersSleep(Broken):
    def open_sender(self) -> InprocSender:
        sender = super().open_sender()
        sender.writable.__class__ = Deaf
        return sender


@breaks("closing_while_in_use_ends_the_use")
class UsesAClosedDescriptor(InprocReceiver):
    def try_recv(self, limit: int) -> PacketBatch:
        if self.closed:
            raise OSError(9, "Bad file descriptor")
        return super().try_recv(limit)


@breaks("a_second_caller_is_told")
class LetsEverybodyIn(InprocSender):
    def try_send(self, batch: PacketBatch) -> int:
        return self.queues[0].offer(batch, self.writable)


@breaks("callers_at_the_same_time_lose_nothing")
class DeliversTwice(InprocReceiver):
    def try_recv(self, limit: int) -> PacketBatch:
        batch = super().try_recv(limit)
        return PacketBatch.concatenate([batch, batch])


@breaks("what_was_closed_can_be_opened_again")
class OpensOnce(Broken):
    used: ClassVar[set[str]] = set()

    def open_receiver(self) -> InprocReceiver:
        if self.url in self.used:
            raise TransportError("the address is in use", url=self.url)
        self.used.add(self.url)
        return super().open_receiver()


HOARD: Final[list[EventReadiness]] = []


@breaks("nothing_stays_open")
class LeaksDescriptors(InprocReceiver):
    def _release_resources(self) -> None:
        super()._release_resources()
        HOARD.append(EventReadiness())


@breaks("a_leaked_endpoint_is_reported")
class VanishesSilently(InprocReceiver):
    def __del__(self) -> None:
        self.close()


@breaks("a_vanished_receiver_is_survived")
class CannotBearLoss(InprocSender):
    def try_send(self, batch: PacketBatch) -> int:
        taken = super().try_send(batch)
        if self.queues[0].statistics().packets_waiting > len(batch):
            raise LookupError("nobody is there")
        return taken


# ------------------------------------------------------------------------------------------------------- packets


class Changes(InprocSender):
    """Sends something else."""

    def try_send(self, batch: PacketBatch) -> int:
        changed = self.change(batch)
        taken = super().try_send(changed)
        return len(batch) if taken == len(changed) else taken

    def change(self, batch: PacketBatch) -> PacketBatch:
        return batch


@breaks("packets_of_many_sizes_arrive_intact")
class Truncates(Changes):
    def change(self, batch: PacketBatch) -> PacketBatch:
        return PacketBatch.of([packet[:1472] for packet in batch.packets()])


@breaks("packets_cut_in_any_way_arrive_intact")
class ExpectsBodiesBackToBack(Changes):
    def change(self, batch: PacketBatch) -> PacketBatch:
        return attrs.evolve(batch, body_offsets=np.cumsum(batch.body_sizes) - batch.body_sizes)


@breaks("the_largest_packet_arrives")
class DropsTheLargest(Changes):
    def change(self, batch: PacketBatch) -> PacketBatch:
        return PacketBatch.of([packet for packet in batch.packets() if len(packet) < 20000])


@breaks("too_large_a_packet_is_refused_alone", capabilities=_EVERYTHING)
class TakesLargerPackets(InprocSender):
    pass


@breaks("an_empty_packet_harms_nothing")
class TakesNothingForTheEnd(InprocReceiver):
    def try_recv(self, limit: int) -> PacketBatch:
        batch = super().try_recv(limit)
        if len(batch) and not batch.sizes.all():
            raise EndOfStream
        return batch


@breaks("hostile_packets_do_no_harm")
class TrustsHeaders(InprocReceiver):
    def try_recv(self, limit: int) -> PacketBatch:
        batch = super().try_recv(limit)
        for packet in batch.packets():
            struct.unpack_from(">BBBBHH", packet.data)
        return batch


@breaks("any_limit_gets_everything")
class LosesWhatIsNotWanted(InprocReceiver):
    def try_recv(self, limit: int) -> PacketBatch:
        return super().try_recv(1000)[:limit]


@breaks("order_is_kept_from_batch_to_batch")
class Reverses(Changes):
    def change(self, batch: PacketBatch) -> PacketBatch:
        return batch[::-1]


class Uncopied(PacketBatch):
    def copy(self) -> PacketBatch:
        return self


@breaks("the_senders_memory_is_not_kept")
class KeepsTheSendersMemory(Changes):
    def change(self, batch: PacketBatch) -> PacketBatch:
        return Uncopied(*(getattr(batch, field.name) for field in attrs.fields(PacketBatch)))


@breaks("adopted_memory_belongs_to_the_receiver")
class TakesMemoryBack(InprocReceiver):
    slab: ClassVar = np.zeros(1 << 20, np.uint8)

    def try_recv(self, limit: int) -> PacketBatch:
        batch = super().try_recv(limit)
        if not len(batch):
            return batch
        flat = batch.flatten()
        self.slab[: len(flat.heads)] = flat.heads
        nothing = np.zeros(len(flat), np.int64)
        return PacketBatch(
            flat.heads, flat.head_offsets, nothing, (self.slab,), flat.head_offsets, flat.head_sizes, adoptable=True
        )


@breaks("release_is_harmless")
class ReleasesOnce(InprocReceiver):
    _gone = False

    def release(self) -> None:
        if self._gone:
            raise RuntimeError("released already")
        self._gone = True


@breaks("drops_are_counted_by_reason")
class MiscountsDrops(InprocReceiver):
    def drops(self) -> dict[str, int]:
        return {"lost": 1}


# ----------------------------------------------------------------------------------------- several at either end


@breaks("each_destination_gets_its_own_packets")
class SendsEverythingToTheFirst(Changes):
    def change(self, batch: PacketBatch) -> PacketBatch:
        return attrs.evolve(batch, destination=0)


@breaks("there_are_no_destinations_but_those_that_there_are")
class WrapsAround(Changes):
    def change(self, batch: PacketBatch) -> PacketBatch:
        return attrs.evolve(batch, destination=batch.destination % self.num_destinations)


@breaks("several_senders_feed_one_receiver")
class HearsTheFirstSenderOnly(Changes):
    first: ClassVar[dict[str, int]] = {}

    def change(self, batch: PacketBatch) -> PacketBatch:
        return batch if self.first.setdefault(self.url, id(self)) == id(self) else batch[:0]


@breaks("the_end_comes_after_the_last_packet_and_stays")
class ForgetsTheEnd(InprocReceiver):
    _told = False

    def try_recv(self, limit: int) -> PacketBatch:
        try:
            return super().try_recv(limit)
        except EndOfStream:
            if self._told:
                return PacketBatch.of([])
            self._told = True
            raise


@breaks("the_end_comes_with_the_last_sender")
class EndsWithTheFirstSender(InprocSender):
    def _release_resources(self) -> None:
        super()._release_resources()
        for queue in self.queues:
            queue.stop()


@breaks("closing_the_sender_loses_nothing")
class TakesPacketsBack(InprocSender):
    def _release_resources(self) -> None:
        super()._release_resources()
        with InprocReceiver(*self.queues) as receiver:
            receiver.try_recv(10**6)


# ------------------------------------------------------------------------------------------------- back-pressure


@breaks("a_receiver_that_is_not_called_loses_nothing", settings="?max_packets=10&policy=drop-oldest")
class LosesWhatDoesNotFit(InprocSender):
    pass
