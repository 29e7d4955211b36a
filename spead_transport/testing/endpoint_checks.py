"""Checks of what all endpoints have in common: configuration, readiness, closing, and who may use them when."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from ..errors import BusyError, ClosedError, TransportError
from ..protocol.batch import PacketBatch
from ..transport import Capabilities, PacketReceiver, PacketSender, Readiness, WrapperTransport
from ..transport.chain import url_of
from .check import Checks, expect, raises
from .packets import FEW, PATIENCE, bytes_of, in_thread, make_batch, receive, same_packets, send, settle, transfer
from .subject import TransportUnderTest

__all__ = ["ENDPOINT_CHECKS"]

ENDPOINT_CHECKS: Final = Checks()
_check = ENDPOINT_CHECKS.add


# ------------------------------------------------------------------------------------------------- configuration


@_check("The configuration as a URL, for messages: without secrets, which config.to_url keeps.")
def url_and_configuration_say_the_same(subject: TransportUnderTest) -> None:
    transport = subject.transport.from_url(subject.receiver_url())
    wraps = isinstance(transport, WrapperTransport)
    url = url_of(transport) if wraps else transport.config.to_url(transport.scheme)
    again = subject.transport.from_url(url)
    expect(again == transport, f"{url} makes {again!r}, which is not equal to {transport!r}")
    expect(hash(again) == hash(transport), "equal transports have different hashes")
    expect(transport.url in repr(transport), f"{transport!r} does not tell its URL {transport.url}")


@_check("A configuration class derives from TransportConfig, is attrs.frozen, and makes each field with option.")
def configuration_is_a_value(subject: TransportUnderTest) -> None:
    config = subject.transport.from_url(subject.receiver_url()).config
    expect(pickle.loads(pickle.dumps(config)) == config, "the configuration changes when it is pickled")
    expect(copy.deepcopy(config) == config, "the configuration changes when it is copied")
    name = attrs.fields(type(config))[0].name
    raises(attrs.exceptions.FrozenInstanceError, lambda: setattr(config, name, None), f"setting {name}")


@_check("If an option is unknown, malformed or out of range; the message names it and the URL.")
def unknown_options_are_refused(subject: TransportUnderTest) -> None:
    url = subject.receiver_url()
    url += "&surely_unknown=1" if "?" in url else "?surely_unknown=1"
    try:
        subject.transport.from_url(url)
    except ValueError as error:
        expect("surely_unknown" in str(error), f"the message {str(error)!r} does not name the option")
    else:
        expect(False, "an unknown option was accepted")


@_check("Cheap to make: nothing is opened before open_… is called.")
def nothing_is_opened_before_it_is_asked_for(subject: TransportUnderTest) -> None:
    url = subject.receiver_url()
    transports = [subject.transport.from_url(url) for _ in range(3)]
    before = _open_descriptors()
    transports += [subject.transport.from_url(url) for _ in range(3)]
    expect(_open_descriptors() == before, "making a transport opened a file descriptor")
    with transports[-1].open_receiver():
        pass


@_check("What this endpoint promises: its transport's capabilities, unless a wrapper or the system changed them.")
def endpoints_state_their_capabilities(subject: TransportUnderTest) -> None:
    with subject.pair() as (sender, receiver):
        for endpoint in (sender, receiver):
            expect(isinstance(endpoint.capabilities, Capabilities), f"{endpoint!r} has no capabilities")
            expect(endpoint.capabilities.reach == subject.capabilities.reach, f"{endpoint!r} has another reach")


@_check("Where this endpoint is, as a URL: with the address that the system gave it, if any was left open.")
def endpoints_know_their_urls(subject: TransportUnderTest) -> None:
    with subject.pair() as (sender, receiver):
        for endpoint in (sender, receiver):
            subject.transport.from_url(endpoint.url)
            expect(endpoint.url in repr(endpoint), f"{endpoint!r} does not tell its URL")


# ------------------------------------------------------------------------------------------------------ readiness


@_check("Reports that try_send may take packets again. The same object at every call.")
def readiness_is_one_object(subject: TransportUnderTest) -> None:
    with subject.pair() as (sender, receiver):
        for readiness, again in ((sender.writable, sender.writable), (receiver.readable, receiver.readable)):
            expect(readiness is again, "the readiness is another object at each call")
            expect(isinstance(readiness, Readiness), f"{readiness!r} is not a Readiness")
            expect(readiness.fileno() == readiness.fileno() >= 0, "its file descriptor changes")


@_check("May report early, never late: after a report the endpoint is tried, and may turn out to have nothing.")
def readiness_settles_when_there_is_nothing(subject: TransportUnderTest) -> None:
    with subject.pair() as (sender, receiver):
        expect(sender.writable.wait(PATIENCE), "a new sender is not reported as writable")
        settle(receiver)
        transfer(sender, receiver, make_batch(FEW))
        settle(receiver)


@_check("May report early, never late: after a report the endpoint is tried, and may turn out to have nothing.")
def readiness_is_never_late(subject: TransportUnderTest) -> None:
    batch = make_batch([60] * 200)
    with subject.pair() as (sender, receiver):
        receiving = in_thread(lambda: receive(receiver, len(batch)))
        for index in range(len(batch)):
            send(sender, batch[index : index + 1])
        same_packets(subject, bytes_of(batch), receiving())


@_check("Make the wait in progress, or the next one, return at once although the condition may not hold.")
def wake_ends_a_wait(subject: TransportUnderTest) -> None:
    with subject.pair() as (_, receiver):
        settle(receiver)
        receiver.readable.wake()
        expect(receiver.readable.wait(PATIENCE), "a wait that began after wake() was not ended by it")
        settle(receiver)
        waiting = in_thread(lambda: receiver.readable.wait(PATIENCE))
        receiver.readable.wake()
        expect(waiting(), "wake() did not end a wait")


@_check("Wait in the running event loop until the condition may hold. Cancelling it has no effect on others.")
def asyncio_can_wait(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW)

    async def arrivals(sender: PacketSender, receiver: PacketReceiver) -> list[bytes]:
        settle(receiver)
        cancelled = asyncio.create_task(receiver.readable.wait_async())
        await asyncio.sleep(0)
        expect(not cancelled.done(), "a wait ended although nothing had come")
        cancelled.cancel()
        await asyncio.wait([cancelled])
        waiting = asyncio.create_task(receiver.readable.wait_async())
        await asyncio.sleep(0)
        sending = in_thread(lambda: send(sender, batch))
        await asyncio.wait_for(waiting, PATIENCE)
        arrived = receive(receiver, len(batch))
        sending()
        return arrived

    with subject.pair() as (sender, receiver):
        same_packets(subject, bytes_of(batch), asyncio.run(arrivals(sender, receiver)))


# ------------------------------------------------------------------------------------------------------- closing


@_check("Any thread, any number of times; never waits.")
def close_can_be_repeated(subject: TransportUnderTest) -> None:
    with subject.pair() as endpoints:
        for endpoint in endpoints:
            expect(not endpoint.closed, f"{endpoint!r} is closed from the beginning")
            in_thread(endpoint.close)()
            endpoint.close()
            expect(endpoint.closed, f"{endpoint!r} does not know that it is closed")


@_check("If the endpoint was closed.")
def a_closed_endpoint_says_so(subject: TransportUnderTest) -> None:
    batch = make_batch([60])
    with subject.pair() as (sender, receiver):
        sender.close()
        receiver.close()
        for _ in range(2):
            raises(ClosedError, lambda: sender.try_send(batch), "sending after close()")
            raises(ClosedError, lambda: receiver.try_recv(1), "receiving after close()")
        expect(sender.writable.wait(PATIENCE), "waiting for a closed sender does not end")
        expect(receiver.readable.wait(PATIENCE), "waiting for a closed receiver does not end")
        receiver.release()
        receiver.drops()


@_check("Give up the endpoint and wake whoever waits for it.")
def closing_wakes_who_waits_for_packets(subject: TransportUnderTest) -> None:
    with subject.pair() as (_, receiver):
        settle(receiver)
        waiting = in_thread(lambda: receiver.readable.wait(PATIENCE))
        receiver.close()
        expect(waiting(), "a thread that waited for packets was not woken")


@_check("Give up the endpoint and wake whoever waits for it.")
def closing_wakes_who_waits_in_an_event_loop(subject: TransportUnderTest) -> None:
    async def close_while_waiting(receiver: PacketReceiver) -> None:
        waiting = asyncio.create_task(receiver.readable.wait_async())
        await asyncio.sleep(0)
        receiver.close()
        await asyncio.wait_for(waiting, PATIENCE)

    with subject.pair() as (_, receiver):
        asyncio.run(close_while_waiting(receiver))


@_check("Only close and wake may be called from any thread at any time.")
def closing_while_in_use_ends_the_use(subject: TransportUnderTest) -> None:
    def use(receiver: PacketReceiver) -> None:
        while True:
            receiver.readable.wait(PATIENCE)
            receiver.try_recv(10)

    with _deserting_pair(subject) as (sender, receiver):
        using = in_thread(lambda: use(receiver))
        send(sender, make_batch(FEW))
        receiver.close()
        raises(ClosedError, using, "receiving from an endpoint that is closed meanwhile")


@contextmanager
def _deserting_pair(subject: TransportUnderTest) -> Iterator[tuple[PacketSender, PacketReceiver]]:
    """A pair whose receiver is to close before its sender does.

    What the transport keeps for a receiver to come is thrown away in the end.
    """
    with subject.pair() as (sender, receiver):
        try:
            yield sender, receiver
        finally:
            sender.close()
            receiver.close()
            subject.transport.from_url(receiver.url).open_receiver().close()


@_check("One caller at a time uses an endpoint: a second one gets BusyError.")
def a_second_caller_is_told(subject: TransportUnderTest) -> None:
    batch = make_batch([60] * 8)
    with subject.pair() as (sender, receiver):
        told: list[BusyError] = []

        def intrude() -> None:
            try:
                sender.try_send(PacketBatch.of([]))
            except BusyError as error:
                told.append(error)

        taken = sender.try_send(_Spy.on(batch, intrude))
        expect(told, "try_send let a second caller in while it was looking at the first one's batch")
        receive(receiver, taken)


class _Spy(PacketBatch):
    """A batch that calls somebody when it is looked at; its copies do not."""

    @classmethod
    def on(cls, batch: PacketBatch, on_look: Callable[[], None]) -> PacketBatch:
        spy = cls(*(getattr(batch, field.name) for field in attrs.fields(PacketBatch)))
        object.__setattr__(spy, "on_look", on_look)
        return spy

    def __getattribute__(self, name: str) -> object:
        on_look = object.__getattribute__(self, "__dict__").get("on_look")
        if on_look is not None and not name.startswith("_"):
            on_look()
        return object.__getattribute__(self, name)


@_check("One caller at a time uses an endpoint: a second one gets BusyError.")
def callers_at_the_same_time_lose_nothing(subject: TransportUnderTest) -> None:
    batch = make_batch([60] * 40)
    arrived: list[bytes] = []

    def take_turns(receiver: PacketReceiver) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(arrived) < len(batch) and time.monotonic() < deadline:
            try:
                arrived.extend(bytes_of(receiver.try_recv(1)))
            except BusyError:
                continue

    with subject.pair() as (sender, receiver):
        others = [in_thread(lambda: take_turns(receiver)) for _ in range(2)]
        send(sender, batch)
        for other in others:
            other()
    expect(sorted(arrived) == sorted(bytes_of(batch)), "two callers together did not get each packet once")


@_check("Give up the endpoint and wake whoever waits for it.")
def what_was_closed_can_be_opened_again(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW)
    with subject.open_receiver() as first:
        url = first.url
    with subject.transport.from_url(url).open_receiver() as receiver, subject.open_sender(receiver) as sender:
        same_packets(subject, bytes_of(batch), transfer(sender, receiver, batch))


@_check("The file descriptors live as long as the object: closing an endpoint only wakes its waiters")
def nothing_stays_open(subject: TransportUnderTest) -> None:
    def use_and_close() -> None:
        with subject.pair() as (sender, receiver):
            transfer(sender, receiver, make_batch(FEW[:5]))

    use_and_close()
    gc.collect()
    before = _open_descriptors()
    for _ in range(5):
        use_and_close()
    gc.collect()
    after = _open_descriptors()
    expect(after <= before, f"{after - before} file descriptors stay open after {5} pairs of endpoints were closed")


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@_check("was never closed")
def a_leaked_endpoint_is_reported(subject: TransportUnderTest) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        receiver = subject.open_receiver()
        sender = subject.open_sender(receiver)
        del receiver, sender
        gc.collect()
    leaks = [warning for warning in caught if issubclass(warning.category, ResourceWarning)]
    expect(len(leaks) >= 2, f"{len(leaks)} warnings for two endpoints that were never closed")


@_check("For an outside cause; the sender can only be closed.")
def a_vanished_receiver_is_survived(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW)
    with _deserting_pair(subject) as (sender, receiver):
        transfer(sender, receiver, batch)
        receiver.close()
        for _ in range(5):
            try:
                sender.try_send(batch)
            except TransportError as error:
                expect(not isinstance(error, ClosedError | BusyError), f"sending to nobody raised {error!r}")
        sender.close()
