"""Queues that URLs name."""

from __future__ import annotations

import gc
import warnings

import pytest
from spead_transport_inproc import InprocConfig, InprocReceiver, InprocSender, InprocTransport

from spead_transport import ItemGroup, open_receiver, open_sender, send
from spead_transport.errors import EndOfStream, TransportError

from .helpers import batch, bytes_of, ended, numbered, take


@pytest.fixture
def url() -> str:
    return InprocTransport.loopback_url()


def open_pair(url: str) -> tuple[InprocSender, InprocReceiver]:
    transport = InprocTransport.from_url(url)
    return transport.open_sender(), transport.open_receiver()


def leave_packets(url: str, *packets: bytes) -> None:
    """Send, and be gone."""
    with InprocTransport.from_url(url).open_sender() as sender:
        assert sender.try_send(batch(*packets)) == len(packets)


def exists(url: str) -> bool:
    """Whether somebody uses the queue, or left something in it: options must then be the same."""
    try:
        InprocTransport.from_url(f"{url}?max_packets=12345").open_receiver().close()
    except TransportError:
        return True
    return False


def test_a_name_is_shared(url: str) -> None:
    transport = InprocTransport.from_url(url)
    with transport.open_sender() as one, transport.open_sender() as other, transport.open_receiver() as receiver:
        assert one.queues == other.queues == receiver.queues
        one.try_send(batch(b"one"))
        other.try_send(batch(b"other"))
        assert take(receiver) == [b"one", b"other"]


def test_names_are_apart(url: str) -> None:
    with InprocTransport.from_url(f"{url}-other").open_receiver() as receiver:
        leave_packets(url, b"packet")
        assert take(receiver) == []
        InprocTransport.from_url(url).open_receiver().close()


def test_the_sender_may_come_and_go_first(url: str) -> None:
    leave_packets(url, b"one", b"two")
    with InprocTransport.from_url(url).open_receiver() as receiver:
        assert receiver.readable.wait(0)
        assert bytes_of(receiver.try_recv(10)) == [b"one", b"two"]
        assert ended(receiver)


def test_the_end_comes_with_the_last_sender(url: str) -> None:
    sender, receiver = open_pair(url)
    other = InprocTransport.from_url(url).open_sender()
    with sender, other, receiver:
        sender.try_send(batch(b"packet"))
        sender.close()
        assert take(receiver) == [b"packet"]
        assert not ended(receiver)
        assert not receiver.readable.wait(0)
        other.close()
        assert receiver.readable.wait(0)
        assert ended(receiver)


def test_without_a_sender_there_is_no_end(url: str) -> None:
    with InprocTransport.from_url(url).open_receiver() as receiver:
        assert not ended(receiver)


def test_a_sender_in_time_continues_the_stream(url: str) -> None:
    with InprocTransport.from_url(url).open_receiver() as receiver:
        leave_packets(url, b"one")
        leave_packets(url, b"two")
        assert take(receiver) == [b"one", b"two"]
        assert ended(receiver)


def test_a_sender_after_the_end_starts_a_new_stream(url: str) -> None:
    transport = InprocTransport.from_url(url)
    with transport.open_receiver() as first:
        leave_packets(url, b"one")
        assert take(first) == [b"one"]
        assert ended(first)
        with transport.open_sender() as sender, transport.open_receiver() as second:
            sender.try_send(batch(b"two"))
            assert ended(first)
            assert take(second) == [b"two"]
            assert not ended(second)


def test_a_queue_is_released_with_its_last_user(url: str) -> None:
    sender, receiver = open_pair(url)
    assert exists(url)
    sender.try_send(batch(b"packet"))
    take(receiver)
    receiver.close()
    assert exists(url)
    sender.close()
    assert not exists(url)


def test_a_queue_that_holds_packets_waits_for_a_receiver(url: str) -> None:
    sender, receiver = open_pair(url)
    receiver.close()
    sender.try_send(batch(b"packet"))
    sender.close()
    assert exists(url)
    with InprocTransport.from_url(url).open_receiver() as late:
        assert take(late) == [b"packet"]
    assert not exists(url)


def test_a_receiver_that_leaves_last_discards_what_waits(url: str) -> None:
    leave_packets(url, b"old")
    InprocTransport.from_url(url).open_receiver().close()
    assert not exists(url)
    leave_packets(url, b"new")
    with InprocTransport.from_url(url).open_receiver() as receiver:
        assert take(receiver) == [b"new"]


def test_an_empty_queue_leaves_no_end_behind(url: str) -> None:
    InprocTransport.from_url(url).open_sender().close()
    assert not exists(url)
    with InprocTransport.from_url(url).open_receiver() as receiver:
        assert not ended(receiver)


def test_a_stopped_queue_gives_way_to_a_new_one(url: str) -> None:
    sender, receiver = open_pair(url)
    with sender, receiver:
        sender.queues[0].stop()
        assert ended(receiver)
        with pytest.raises(TransportError, match="stopped"):
            sender.try_send(batch(b"lost"))
        new_sender, new_receiver = open_pair(url)
        with new_sender, new_receiver:
            new_sender.try_send(batch(b"found"))
            assert take(new_receiver) == [b"found"]


def test_a_stopped_queue_that_holds_packets_is_still_the_one(url: str) -> None:
    sender, receiver = open_pair(url)
    receiver.close()
    with sender:
        sender.try_send(batch(b"packet"))
        sender.queues[0].stop()
        with InprocTransport.from_url(url).open_sender() as other, pytest.raises(TransportError, match="stopped"):
            other.try_send(batch(b"lost"))
        with InprocTransport.from_url(url).open_receiver() as late:
            assert take(late) == [b"packet"]


def test_fan_out_by_url(url: str) -> None:
    transport = InprocTransport.from_url(f"{url}?mode=fanout")
    with transport.open_receiver() as one, transport.open_receiver() as other:
        with transport.open_sender() as sender:
            sender.try_send(batch(b"packet"))
        for receiver in (one, other):
            assert bytes_of(receiver.try_recv(10)) == [b"packet"]
            with pytest.raises(EndOfStream):
                receiver.try_recv(10)


def test_all_users_give_the_same_options(url: str) -> None:
    with InprocTransport.from_url(f"{url}?max_packets=5").open_sender():
        for options in ("", "?max_packets=6", "?max_packets=5&policy=error"):
            with pytest.raises(TransportError, match=r"in use as .*max_packets=5\b.*\n.*same options"):
                InprocTransport.from_url(f"{url}{options}").open_receiver()
        InprocTransport.from_url(f"{url}?max_packets=5").open_receiver().close()


def test_one_sender_for_several_queues(url: str) -> None:
    names = [f"{url.rpartition('/')[2]}-{index}" for index in range(3)]
    with InprocTransport(InprocConfig(name=",".join(names))).open_sender() as sender:
        assert sender.num_destinations == 3
        for index in range(3):
            sender.try_send(batch(bytes([index]), destination=index))
    for index, name in enumerate(names):
        with InprocTransport(InprocConfig(name=name)).open_receiver() as receiver:
            assert take(receiver) == [bytes([index])]


def test_one_receiver_for_several_queues(url: str) -> None:
    names = [f"{url.rpartition('/')[2]}-{index}" for index in range(3)]
    with InprocTransport(InprocConfig(name=",".join(names))).open_receiver() as receiver:
        for index, name in enumerate(names):
            assert not ended(receiver)
            assert not receiver.readable.wait(0)
            leave_packets(f"inproc://{name}", bytes([index]))
            assert receiver.readable.wait(0)
            assert bytes_of(receiver.try_recv(10)) == [bytes([index])]
        assert ended(receiver)


def test_what_cannot_be_opened_leaves_nothing_behind(url: str) -> None:
    name = url.rpartition("/")[2]
    with (
        InprocTransport.from_url(f"inproc://{name}-2?max_packets=5").open_sender(),
        pytest.raises(TransportError, match="in use"),
    ):
        InprocTransport.from_url(f"inproc://{name}-1,{name}-2").open_receiver()
    assert not exists(f"inproc://{name}-1")
    assert not exists(f"inproc://{name}-2")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("inproc://", "expected the name"),
        ("inproc://a,,b", "expected the name"),
        ("inproc://a,b,a", "once only"),
        ("inproc://a?max_packets=0", "max_packets"),
        ("inproc://a?max_bytes=-1", "max_bytes"),
        ("inproc://a?policy=maybe", "policy"),
        ("inproc://a?mode=copy", "mode"),
        ("inproc://a?max_packet=5", "did you mean 'max_packets'"),
    ],
)
def test_bad_urls(bad: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        InprocTransport.from_url(bad)
    assert bad in str(caught.value)


def test_urls_with_units_and_odd_names() -> None:
    transport = InprocTransport.from_url("inproc://a name/with%3Fodd,other?max_bytes=8MiB&policy=drop-oldest")
    assert transport.config == InprocConfig(name="a name/with?odd,other", max_bytes=8 << 20, policy="drop-oldest")
    assert InprocTransport.from_url(transport.url) == transport
    with transport.open_sender() as sender:
        assert sender.url == transport.url
        assert InprocTransport.from_url(sender.url) == transport


def test_a_forgotten_sender_ends_its_stream(url: str) -> None:
    with InprocTransport.from_url(url).open_receiver() as receiver:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sender = InprocTransport.from_url(url).open_sender()
            sender.try_send(batch(b"packet"))
            del sender
            gc.collect()
        assert [warning.category for warning in caught] == [ResourceWarning]
        assert bytes_of(receiver.try_recv(10)) == [b"packet"]
        assert ended(receiver)


def test_streams_by_url_sender_first(url: str, engine: str) -> None:
    items = send.ItemGroup()
    items.add_item(None, "number", "", (), ">u4")
    with open_sender(url, engine=engine) as sender:
        for number in range(10):
            items["number"].value = number
            sender.send_heap(items.get_heap())
    received = ItemGroup()
    with open_receiver(url, engine=engine) as receiver:
        assert [received.update(heap)["number"].value for heap in receiver] == list(range(10))
    assert not exists(url)


def test_numbers_are_kept_in_order_by_many_senders(url: str) -> None:
    transport = InprocTransport.from_url(url)
    senders = [transport.open_sender() for _ in range(5)]
    for number in range(10):
        for index, sender in enumerate(senders):
            sender.try_send(batch(*numbered([100 * index + number])))
    for sender in senders:
        sender.close()
    with transport.open_receiver() as receiver:
        arrived = [int.from_bytes(packet, "big") for packet in take(receiver)]
    assert arrived == [100 * index + number for number in range(10) for index in range(5)]
