"""Settings and options."""

from __future__ import annotations

import socket
from typing import assert_type

from spead_transport_tcp import TcpConfig, TcpTransport
from spead_transport_udp import UdpConfig, UdpTransport

import spead_transport as spead
from spead_transport import recv, send
from spead_transport.transport import Endpoints

sending = send.StreamConfig(max_packet_size=8972, rate=1.25e9, burst_size=65536, max_heaps=8, burst_rate_ratio=1.1)
assert_type(sending.rate, float)
assert_type(sending.burst_rate, float)
assert_type(sending.rate_method, send.RateMethod)
assert_type(send.StreamConfig.DEFAULT_MAX_HEAPS, int)
receiving = recv.StreamConfig(max_heaps=4, memory_allocator=spead.MmapAllocator(prefer_huge=True))
assert_type(receiving.memory_allocator, spead.MemoryAllocator)
assert_type(receiving.add_stat("mine", recv.StreamStatConfig.Mode.MAXIMUM), int)
assert_type(receiving.stats, list[recv.StreamStatConfig])

send.StreamConfig(8972)  # error
send.StreamConfig(max_heap=4)  # error
send.StreamConfig(max_heaps="4")  # error
send.StreamConfig(rate_method="SW")  # error
recv.StreamConfig(memory_allocator=None)  # error
recv.RingStreamConfig(heaps=4.5)  # error
sending.burst_rate = 3.0  # error
spead.ThreadPool("2")  # error
spead.Flavour(4, 64, "48")  # error

udp = UdpConfig(endpoints=Endpoints.parse("239.2.3.4:7148"), ttl=2, interface="eth0")
assert_type(udp.endpoints, Endpoints)
assert_type(udp.ttl, int | None)
assert_type(UdpTransport(udp).config, UdpConfig)
assert_type(UdpTransport.from_url("udp://239.2.3.4:7148"), UdpTransport)
assert_type(spead.open_sender(UdpTransport(udp)), send.SyncStream)
UdpConfig(ttl="2")  # error
UdpConfig(time_to_live=2)  # error
udp.ttl = 3  # error
UdpTransport(TcpConfig())  # error
assert_type(TcpTransport(TcpConfig(connect_timeout=2.5)).config.connect_timeout, float)

# The classic names, in all their forms.
pool, queue = spead.ThreadPool(), spead.InprocQueue()
assert_type(send.InprocStream(pool, [queue], sending).queues[0], spead.InprocQueue)
send.UdpStream(pool, [("239.2.3.4", 7148)], sending, 65536, 2, "10.0.0.5")
send.UdpStream(pool, [("239.2.3.4", 7148)], ttl=2, interface_address="10.0.0.5")
send.UdpStream(pool, socket.socket(), [("10.0.0.6", 7148)])
send.TcpStream(pool, [("10.0.0.6", 7148)])
stream = recv.Stream(pool, receiving, recv.RingStreamConfig())
stream.add_udp_reader(7148, bind_hostname="127.0.0.1")
stream.add_udp_reader("239.2.3.4", 7148, interface_address="10.0.0.5")
stream.add_inproc_reader(queue)
assert_type(stream.add_reader("udp://:0"), str)

send.InprocStream(pool, queue)  # error
send.UdpStream(pool, ("239.2.3.4", 7148))  # error
send.UdpStream(pool, [("239.2.3.4", "7148")])  # error
stream.add_udp_reader("239.2.3.4")  # error
stream.add_udp_reader(7148, interface_address="10.0.0.5")  # error
stream.add_inproc_reader("inproc://queue")  # error
stream.add_reader(queue)  # error
