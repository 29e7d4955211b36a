"""Several processes, some of which are killed."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from spead_transport_shm import ShmTransport

from spead_transport import ItemGroup, open_receiver
from spead_transport.errors import BrokenTransportError
from spead_transport.testing.packets import bytes_of, make_batch
from spead_transport.transport import PacketReceiver

from ..exchange import PATIENCE, receive, receive_to_end, send_all
from .processes import program

SEND_AND_WAIT = """
sender = ShmTransport.from_url(sys.argv[1]).open_sender()
send(sender, make_batch([1000] * 50))
say("sent")
sys.stdin.readline()
"""

SEND_FOR_EVER = """
sender = ShmTransport.from_url(sys.argv[1]).open_sender()
say("sending")
cnt = 1
while True:
    send(sender, make_batch([1472] * 64, first_cnt=cnt))
    cnt += 64
"""

SEND_HEAPS = """
import numpy as np
from spead_transport import open_sender
from spead_transport.send import ItemGroup, StreamConfig

number = int(sys.argv[2])
group = ItemGroup()
group.add_item(0x1000, "data", "", shape=(5000,), dtype=np.uint16)
with open_sender(sys.argv[1], config=StreamConfig(max_packet_size=1472)) as stream:
    stream.set_cnt_sequence(number + 1, 100)
    for turn in range(20):
        group["data"].value = np.full(5000, 100 * number + turn, np.uint16)
        stream.send_heap(group.get_heap(descriptors="all", data="all"))
"""

RECEIVE_AND_WAIT = """
receiver = ShmTransport.from_url(sys.argv[1]).open_receiver()
say("listening")
receive(receiver, 50)
say("received")
sys.stdin.readline()
"""


def outcome(receiver: PacketReceiver) -> tuple[list[bytes], BrokenTransportError]:
    """What comes until the stream breaks, and how it does."""
    packets: list[bytes] = []
    while True:
        try:
            packets += receive(receiver, 1)
        except BrokenTransportError as error:
            return packets, error


def test_what_a_killed_sender_had_sent_arrives(caplog: pytest.LogCaptureFixture) -> None:
    url = ShmTransport.loopback_url()
    with ShmTransport.from_url(url).open_receiver() as receiver, program(SEND_AND_WAIT, url) as sender:
        assert sender.hears() == "sent"
        sender.kill()
        packets, error = outcome(receiver)
        assert packets == bytes_of(make_batch([1000] * 50))
        assert "is gone and had not closed its sender" in str(error)
        assert "killed" in str(error)
        assert "is gone" in caplog.text


def test_a_sender_killed_at_work_leaves_whole_batches() -> None:
    url = f"{ShmTransport.loopback_url()}?size=2MiB"
    with ShmTransport.from_url(url).open_receiver() as receiver, program(SEND_FOR_EVER, url) as sender:
        assert sender.hears() == "sending"
        packets = receive(receiver, 2000)
        sender.kill()
        packets += outcome(receiver)[0]
        sent = bytes_of(make_batch([1472] * 64))
        assert packets[:64] == sent
        for turn in range(0, len(packets), 6400):
            rest = packets[turn : turn + 64]
            assert rest == bytes_of(make_batch([1472] * 64, first_cnt=turn + 1))[: len(rest)]


def test_others_are_not_disturbed() -> None:
    batch = make_batch([500] * 20)
    url = ShmTransport.loopback_url()
    transport = ShmTransport.from_url(url)
    with transport.open_receiver() as receiver, transport.open_sender() as other:
        with program(SEND_AND_WAIT, url) as sender:
            assert sender.hears() == "sent"
            receive(receiver, 50)
            sender.kill()
        for _ in range(3):
            send_all(other, batch)
            assert receive(receiver, 20) == bytes_of(batch)
        other.close()
        assert outcome(receiver)[0] == []


def test_a_sender_that_is_started_anew() -> None:
    url = f"{ShmTransport.loopback_url()}?senders=0"
    with ShmTransport.from_url(url).open_receiver() as receiver:
        for _ in range(2):
            with program(SEND_AND_WAIT, url) as sender:
                assert sender.hears() == "sent"
                sender.kill()
            assert receive(receiver, 50) == bytes_of(make_batch([1000] * 50))
            assert len(receiver.try_recv(1)) == 0


def test_a_killed_receiver_is_noticed_and_can_be_replaced() -> None:
    batch = make_batch([1000] * 50)
    url = ShmTransport.loopback_url()
    with program(RECEIVE_AND_WAIT, url) as receiver:
        assert receiver.hears() == "listening"
        with ShmTransport.from_url(url).open_sender() as sender:
            send_all(sender, batch)
            assert receiver.hears() == "received"
            while sender.try_send(batch):
                pass
            assert not sender.writable.wait(0)
            receiver.kill()
            assert sender.writable.wait(PATIENCE)
            with pytest.raises(BrokenTransportError, match="the receiver was closed, or its program ended"):
                sender.try_send(batch)
    with ShmTransport.from_url(url).open_receiver() as again, ShmTransport.from_url(url).open_sender() as sender:
        send_all(sender, batch)
        assert receive(again, 50) == bytes_of(batch)


@pytest.mark.parametrize("access", ["user", "anyone"])
def test_heaps_of_many_processes(engine: str, access: str) -> None:
    url = f"{ShmTransport.loopback_url()}?senders=4&access={access}&size=2MiB"
    with open_receiver(url, engine=engine) as stream, ExitStack() as stack:
        senders = [stack.enter_context(program(SEND_HEAPS, url, str(number))) for number in range(4)]
        values: list[int] = []
        group = ItemGroup()
        for heap in stream:
            group.update(heap)
            value = group["data"].value
            assert np.all(value == value[0])
            values.append(int(value[0]))
        assert [sender.ends() for sender in senders] == [0] * 4
    assert sorted(values) == [100 * number + turn for number in range(4) for turn in range(20)]
    for number in range(4):
        own = [value for value in values if value // 100 == number]
        assert own == sorted(own), "the heaps of one sender came out of order"


def test_programs_that_are_started_inherit_nothing() -> None:
    """Else a name would not be free, and an end not be noticed, before they have ended."""
    url = ShmTransport.loopback_url()
    transport = ShmTransport.from_url(url)
    with ExitStack() as stack:
        with transport.open_receiver() as receiver, transport.open_sender() as sender:
            other = stack.enter_context(program("say('started')\nsys.stdin.readline()"))
            assert other.hears() == "started"
            sender.close()
            assert receive_to_end(receiver) == []
        with transport.open_receiver() as receiver, transport.open_sender() as sender:
            send_all(sender, make_batch([100]))
            receive(receiver, 1)
        other.go_on()
        assert other.ends() == 0
