"""How the two ends find each other, and what is said when they do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from spead_transport_shm import ShmReceiver, ShmSender, ShmTransport

from spead_transport.errors import BrokenTransportError, TransportError
from spead_transport.testing.packets import bytes_of, make_batch
from spead_transport.transport import transport_from_url

from ..exchange import receive, receive_to_end, send_all
from .processes import program

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can become another user")


def sender_to(url: str) -> ShmSender:
    return ShmTransport.from_url(url).open_sender()


def receiver_at(url: str) -> ShmReceiver:
    return ShmTransport.from_url(url).open_receiver()


def test_chosen_by_url(face: str) -> None:
    url = ShmTransport.loopback_url()
    transport = transport_from_url(url)
    with transport.open_receiver() as receiver, transport.open_sender() as sender:
        if face == "python":
            assert isinstance(receiver, ShmReceiver)
            assert isinstance(sender, ShmSender)
        assert receiver.url == sender.url == url


def test_the_receiver_comes_first() -> None:
    with pytest.raises(TransportError, match="cannot connect to a receiver") as caught:
        sender_to(ShmTransport.loopback_url())
    assert "open the receiver first" in str(caught.value)


def test_one_receiver_for_each_name() -> None:
    with (
        receiver_at(ShmTransport.loopback_url()) as receiver,
        pytest.raises(TransportError, match="another receiver has this name"),
    ):
        receiver_at(receiver.url)


def test_a_name_is_needed() -> None:
    with pytest.raises(ValueError, match="expected a name, as in shm://"):
        sender_to("shm://")
    with pytest.raises(ValueError, match="expected a name, as in shm://"):
        receiver_at("shm://")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"shm://{'ä' * 41}", "80 bytes at most"),
        ("shm://a%00b", "without NUL"),
        ("shm://a?size=1MiB", "option 'size'"),
        ("shm://a?size=5GiB", "option 'size'"),
        ("shm://a?access=everybody", "expected one of user, group, anyone"),
        ("shm://a?senders=-1", "option 'senders'"),
    ],
)
def test_impossible_options(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShmTransport.from_url(url)


def test_any_name_will_do() -> None:
    batch = make_batch([100])
    with receiver_at("shm://a b/ü,?size=2MiB") as receiver, sender_to(receiver.url) as sender:
        send_all(sender, batch)
        assert receive(receiver, 1) == bytes_of(batch)


def test_the_ring_limits_a_packet() -> None:
    with receiver_at(f"{ShmTransport.loopback_url()}?size=2MiB") as receiver, sender_to(receiver.url) as sender:
        largest = sender.capabilities.largest_packet
        assert largest == (2 << 20) * 9 // 16 - 128
        batch = make_batch([100, largest + 1, largest])
        assert sender.try_send(batch) == 1
        with pytest.raises(
            TransportError, match=rf"of {largest + 1} bytes .*\nhint: .*size={(2 << 20) + 64} or more"
        ):
            sender.try_send(batch[1:])
        assert receive(receiver, 1) == bytes_of(batch[:1])
        receiver.release()
        assert sender.try_send(batch[2:]) == 1
        assert receive(receiver, 1) == bytes_of(batch[2:])


def test_the_stream_waits_for_all_senders() -> None:
    batch = make_batch([100])
    with receiver_at(f"{ShmTransport.loopback_url()}?senders=2") as receiver:
        for _ in range(2):
            assert len(receiver.try_recv(1)) == 0
            with sender_to(receiver.url) as sender:
                send_all(sender, batch)
            assert receive(receiver, 1) == bytes_of(batch)
        assert receive_to_end(receiver) == []
        with pytest.raises(TransportError, match="open the receiver first"):
            sender_to(receiver.url)


def test_a_stream_without_end() -> None:
    batch = make_batch([100])
    with receiver_at(f"{ShmTransport.loopback_url()}?senders=0") as receiver:
        assert not receiver.capabilities.signals_end
        for _ in range(3):
            with sender_to(receiver.url) as sender:
                send_all(sender, batch)
            assert receive(receiver, 1) == bytes_of(batch)
            assert len(receiver.try_recv(1)) == 0


def test_nothing_lies_about() -> None:
    """There is no file anywhere, and the name goes with the receiver."""
    before = sorted(os.listdir("/dev/shm"))
    with receiver_at(ShmTransport.loopback_url()) as receiver, sender_to(receiver.url) as sender:
        send_all(sender, make_batch([100] * 10))
        assert sorted(os.listdir("/dev/shm")) == before
        name = receiver.url.partition("://")[2]
        assert name in Path("/proc/net/unix").read_text()
    assert name not in Path("/proc/net/unix").read_text()


# What is imported on first use is imported now: another user may not be able to read it.
AS_NOBODY = """
make_batch([100])
os.setgroups([])
os.setresgid({nobody}, {group}, {nobody})
os.setresuid({nobody}, {nobody}, {nobody})
"""

ATTACH = """
try:
    with ShmTransport.from_url(sys.argv[1]).open_sender() as sender:
        send(sender, make_batch([100]))
        say("sent")
        sys.stdin.readline()
        sender.try_send(make_batch([100]))
        say("sent")
except OSError as error:
    say(f"{type(error).__name__} {error}")
"""


@needs_root
@pytest.mark.parametrize("access", ["user", "group"])
def test_another_users_sender_is_refused(access: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        receiver_at(f"{ShmTransport.loopback_url()}?access={access}") as receiver,
        program(AS_NOBODY.format(nobody=NOBODY, group=NOBODY) + ATTACH, receiver.url) as other,
    ):
        assert other.hears() == "sent"
        assert receiver.readable.wait()
        assert len(receiver.try_recv(1)) == 0
        other.go_on()
        answer = other.hears()
        assert answer.startswith("BrokenTransportError")
        assert f"access={access} does not admit process" in answer
        assert "a sender was refused" in caplog.text
        assert len(receiver.try_recv(1)) == 0


@needs_root
@pytest.mark.parametrize(("access", "group"), [("group", 0), ("anyone", NOBODY)])
def test_another_users_sender_is_admitted(access: str, group: int) -> None:
    with (
        receiver_at(f"{ShmTransport.loopback_url()}?access={access}") as receiver,
        program(AS_NOBODY.format(nobody=NOBODY, group=group) + ATTACH, receiver.url) as other,
    ):
        assert other.hears() == "sent"
        assert receive(receiver, 1) == bytes_of(make_batch([100]))
        other.go_on()
        assert other.hears() == "sent"
        assert receive_to_end(receiver) == bytes_of(make_batch([100]))


RECEIVE_ONCE = """
with ShmTransport.from_url(sys.argv[1]).open_receiver() as receiver:
    say("listening")
    sys.stdin.readline()
"""


@needs_root
def test_a_sender_is_careful_too() -> None:
    """A name can be taken by somebody who hopes for our data."""
    url = ShmTransport.loopback_url()
    with program(AS_NOBODY.format(nobody=NOBODY, group=NOBODY) + RECEIVE_ONCE, url) as other:
        assert other.hears() == "listening"
        with pytest.raises(TransportError, match=f"access=user does not admit process .* of user {NOBODY}"):
            sender_to(url)
        sender_to(f"{url}?access=anyone").close()


def test_who_is_refused_can_only_close() -> None:
    """A receiver that is closed before it has looked at its senders refuses all of them."""
    with receiver_at(ShmTransport.loopback_url()) as receiver, sender_to(receiver.url) as sender:
        receiver.close()
        assert sender.writable.wait()
        for _ in range(2):
            with pytest.raises(BrokenTransportError, match="the receiver was closed, or its program ended"):
                sender.try_send(make_batch([100]))
