#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <thread>

#include "check.hpp"
#include "packet_framer.hpp"
#include "stream_sender.hpp"
#include "support.hpp"
#include "tcp_receiver.hpp"

using namespace spead;
using namespace support;

namespace {

constexpr double patience = 30.0;

std::vector<Bytes> some_packets() {
    static const Bytes payload = numbered_bytes(100'000);
    EncoderConfig config;
    config.max_packet_size = 9000;
    return packets_of({heap_of(1, payload), heap_of(2, payload)}, GroupMode::serial, config);
}

// What a framer finds in bytes that it is given in pieces of `step`.
std::vector<Bytes> framed(const Bytes &bytes, std::size_t step, std::size_t max_packet_size = 65536) {
    PacketFramer framer(max_packet_size);
    std::vector<Bytes> found;
    const auto take = [&](std::vector<spead_slice> slices) {
        for (const spead_slice &slice : slices) {
            const auto *data = static_cast<const std::uint8_t *>(slice.data);
            found.emplace_back(data, data + slice.size);
        }
    };
    std::vector<spead_slice> slices;
    for (std::size_t at = 0; at < bytes.size();) {
        const std::span<std::uint8_t> room = framer.room();
        const std::size_t count = std::min({step, room.size(), bytes.size() - at});
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), count, room.begin());
        at += count;
        slices.clear();
        framer.add(count, slices);
        take(slices);
    }
    slices.clear();
    framer.finish(slices);
    take(slices);
    return found;
}

Bytes joined(const std::vector<Bytes> &parts) {
    Bytes all;
    for (const Bytes &part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

}  // namespace

TEST(packets_are_found_however_they_are_read) {
    const std::vector<Bytes> packets = some_packets();
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{8999}, std::size_t{1} << 20})
        CHECK(framed(joined(packets), step) == packets);
}

TEST(junk_between_packets_is_handed_out) {
    std::mt19937 random(1);
    for (int round = 0; round < 200; round++) {
        Bytes junk(random() % 100);
        // Many beginnings of packets among it.
        for (std::uint8_t &byte : junk) byte = std::array<std::uint8_t, 6>{0x53, 4, 3, 5, 0, 255}[random() % 6];
        std::vector<Bytes> packets = some_packets();
        packets.insert(packets.begin() + 3, junk);
        const Bytes bytes = joined(packets);
        CHECK(joined(framed(bytes, 1 + random() % 3000, no_limit)) == bytes);
    }
}

TEST(a_packet_that_is_too_large_is_skipped_as_a_whole) {
    const std::vector<Bytes> packets = some_packets();
    std::vector<Bytes> expected;
    for (const Bytes &packet : packets)
        expected.emplace_back(packet.begin(), packet.size() > 8000 ? packet.begin() + 8 : packet.end());
    for (const std::size_t step : {std::size_t{1}, std::size_t{100}, std::size_t{1} << 20})
        CHECK(framed(joined(packets), step, 8000) == expected);
}

TEST(a_connection_carries_packets_in_parts) {
    FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK_EQUAL(bind(listener.get(), reinterpret_cast<sockaddr *>(&address), size), 0);
    CHECK_EQUAL(listen(listener.get(), 4), 0);
    CHECK_EQUAL(getsockname(listener.get(), reinterpret_cast<sockaddr *>(&address), &size), 0);
    const Receiver receiver = as_receiver(std::make_shared<TcpReceiver>(std::move(listener), 1, 65536, "tcp://test", Hints()));

    FileDescriptor connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int small = 4096;
    setsockopt(connection.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    CHECK_EQUAL(connect(connection.get(), reinterpret_cast<sockaddr *>(&address), size), 0);
    const Sender sender = as_sender(std::make_shared<StreamSender>(std::move(connection), true, "cannot send", Hints()));

    std::vector<Bytes> sent;
    for (int i = 0; i < 50; i++)
        for (Bytes &packet : some_packets()) sent.push_back(std::move(packet));
    std::thread sending([&] {
        const WholePackets packets(sent);
        spead_batch batch = packets.view();
        while (batch.num_packets > 0) {
            const std::size_t taken = sender.try_send(batch);
            batch.packets += taken;
            batch.num_packets -= taken;
            if (taken == 0) CHECK(wait_readable(sender.fileno(), patience) == Waited::ready);
        }
        sender.close();
    });
    std::vector<Bytes> received;
    try {
        for (;;) {
            const spead_batch batch = receiver.try_recv(100);
            if (batch.num_packets == 0) CHECK(wait_readable(receiver.fileno(), patience) == Waited::ready);
            for (std::size_t i = 0; i < batch.num_packets; i++) {
                const spead_slice &slice = batch.packets[i].slices[0];
                const auto *data = static_cast<const std::uint8_t *>(slice.data);
                received.emplace_back(data, data + slice.size);
            }
        }
    } catch (const TransportException &exception) {
        CHECK(exception.error.kind == ErrorKind::end_of_stream);
    }
    sending.join();
    CHECK(received == sent);
    receiver.close();
}
