#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <thread>

#include "check.hpp"
#include "memory_sender.hpp"
#include "packet_queue.hpp"
#include "receive_runner.hpp"
#include "send_runner.hpp"
#include "support.hpp"
#include "udp_receiver.hpp"
#include "udp_sender.hpp"

using namespace spead;
using namespace support;

namespace {

constexpr double patience = 30.0;

std::shared_ptr<ReceiveRunner> make_receiver(ReceiveConfig config = {}) {
    return std::make_shared<ReceiveRunner>(config, nullptr, [](bool, const std::string &) {});
}

std::shared_ptr<SendRunner> make_sender(Sender sender, SendConfig config = {}, std::atomic<int> *finished = nullptr) {
    return std::make_shared<SendRunner>(std::move(sender), config,
                                        SendRunner::Callbacks{[finished](SendGroups groups) {
                                                                  if (finished) *finished += static_cast<int>(groups.size());
                                                              },
                                                              [](const std::vector<std::string> &) {}});
}

std::shared_ptr<SendGroup> group_of(std::vector<OutgoingHeap> heaps) {
    return std::make_shared<SendGroup>(std::move(heaps), GroupMode::serial);
}

void send_now(SendRunner &runner, std::vector<OutgoingHeap> heaps) {
    const auto group = group_of(std::move(heaps));
    if (!runner.begin(group)) CHECK(runner.drive(*group, monotonic_time() + patience) == Waited::ready);
    CHECK(!group->error());
}

ReceivedHeap wait_for_heap(ReceiveRunner &runner) {
    std::vector<ReceivedHeap> heaps;
    for (;;) {
        const ReceiveRunner::Next next = runner.next(heaps, 1);
        if (next == ReceiveRunner::Next::heap) return std::move(heaps.front());
        CHECK(next == ReceiveRunner::Next::empty);
        CHECK(runner.wait(patience) == Waited::ready);
    }
}

void wait_for_end(ReceiveRunner &runner) {
    std::vector<ReceivedHeap> heaps;
    while (runner.next(heaps, 1) != ReceiveRunner::Next::stopped) CHECK(runner.wait(patience) == Waited::ready);
}

Sender queue_sender(const std::shared_ptr<PacketQueue> &queue) {
    return as_sender(std::make_shared<QueueSender>(std::vector{queue}));
}

Receiver queue_receiver(const std::shared_ptr<PacketQueue> &queue) {
    return as_receiver(std::make_shared<QueueReceiver>(std::vector{std::make_shared<QueueReader>(queue)}));
}

FileDescriptor udp_socket(SocketAddress &address) {
    FileDescriptor fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto &v4 = reinterpret_cast<sockaddr_in &>(address.storage);
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.size = sizeof v4;
    CHECK_EQUAL(bind(fd.get(), reinterpret_cast<sockaddr *>(&v4), sizeof v4), 0);
    CHECK_EQUAL(getsockname(fd.get(), reinterpret_cast<sockaddr *>(&v4), &address.size), 0);
    return fd;
}

// Has some packets at every other call, and nothing in between; its file descriptor polls readable with the last ones.
class Pulsing final : public ReceiverBase {
public:
    Pulsing(std::vector<std::vector<Bytes>> pulses, std::uint32_t rest_ns) : ReceiverBase(rest_ns), pulses_(std::move(pulses)) {}
    std::atomic<std::size_t> calls{0};
    Event over;

protected:
    std::size_t try_recv(std::size_t, spead_batch &batch) override {
        const std::size_t call = calls++;
        if (call % 2 || call / 2 >= pulses_.size()) return 0;
        const std::vector<Bytes> &pulse = pulses_[call / 2];
        if (&pulse == &pulses_.back()) over.set();
        packets_ = std::make_unique<WholePackets>(pulse);
        batch.packets = packets_->view().packets;
        return pulse.size();
    }
    int fileno() const noexcept override { return over.fileno(); }
    void release() noexcept override { over.set(); }

private:
    std::vector<std::vector<Bytes>> pulses_;
    std::unique_ptr<WholePackets> packets_;
};

}  // namespace

TEST(a_large_heap_is_adopted_from_the_queue) {
    const auto queue = std::make_shared<PacketQueue>();
    const Bytes payload = numbered_bytes(1 << 20);
    auto sender = make_sender(queue_sender(queue));
    auto receiver = make_receiver();
    receiver->add_reader(queue_receiver(queue), nullptr);
    send_now(*sender, {heap_of(1, payload)});
    const ReceivedHeap heap = wait_for_heap(*receiver);
    CHECK(payload_of(heap) == payload);
    CHECK_EQUAL(heap.memory.size(), payload.size());
    queue->stop();
    wait_for_end(*receiver);
}

TEST(with_fan_out_each_receiver_gets_all_packets) {
    const auto queue = std::make_shared<PacketQueue>(true);
    const Bytes payload = numbered_bytes(100'000);
    auto sender = make_sender(queue_sender(queue));
    send_now(*sender, {heap_of(1, payload)});  // for the first one alone
    std::vector<std::shared_ptr<ReceiveRunner>> receivers;
    for (int i = 0; i < 3; i++) {
        receivers.push_back(make_receiver());
        receivers.back()->add_reader(queue_receiver(queue), nullptr);
    }
    CHECK_EQUAL(wait_for_heap(*receivers[0]).cnt, 1u);
    send_now(*sender, {heap_of(2, payload)});
    const QueueStatistics statistics = queue->statistics();
    CHECK_EQUAL(statistics.waiting.packets, 3 * (statistics.in.packets - statistics.out.packets));
    receivers[1]->stop();
    CHECK_EQUAL(queue->statistics().discarded.packets, 0u);  // stopping takes what waits
    send_now(*sender, {heap_of(3, payload)});
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
        std::vector<ReceivedHeap> heaps;
        for (const std::uint64_t cnt : {2u, 3u}) {
            heaps.push_back(wait_for_heap(*receivers[i]));
            CHECK_EQUAL(heaps.back().cnt, cnt);
            // Nobody may change what others look at.
            heaps.back().payload[0]++;
        }
        CHECK_EQUAL(heaps[0].payload[0], static_cast<std::uint8_t>(payload[0] + 1));
    }
    queue->stop();
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) wait_for_end(*receivers[i]);
}

TEST(heaps_that_are_put_back_come_again) {
    const auto queue = std::make_shared<PacketQueue>();
    auto sender = make_sender(queue_sender(queue));
    auto receiver = make_receiver();
    receiver->add_reader(queue_receiver(queue), nullptr);
    const Bytes payload = numbered_bytes(100);
    send_now(*sender, {heap_of(1, payload), heap_of(2, payload), heap_of(3, payload)});
    std::vector<ReceivedHeap> heaps;
    CHECK(receiver->next(heaps, 2) == ReceiveRunner::Next::heap);
    CHECK_EQUAL(heaps.size(), 2u);
    receiver->put_back(heaps);
    const RingStatistics statistics = receiver->ring_statistics();
    CHECK_EQUAL(statistics.put, 3u);
    CHECK_EQUAL(statistics.taken, 0u);
    CHECK_EQUAL(statistics.waiting, 3u);
    CHECK_EQUAL(statistics.peak, 3u);
    for (std::uint64_t cnt = 1; cnt <= 3; cnt++) CHECK_EQUAL(wait_for_heap(*receiver).cnt, cnt);
}

// Blocks of bytes, of which the last one is in use.
class Blocks final : public MemorySender::Memory {
public:
    explicit Blocks(std::list<Bytes> &blocks) : blocks_(blocks) {}
    std::uint8_t *grow(std::size_t kept, std::size_t capacity) override {
        Bytes larger(capacity);
        if (kept > 0) std::copy_n(blocks_.back().begin(), kept, larger.begin());
        return blocks_.emplace_back(std::move(larger)).data();
    }

private:
    std::list<Bytes> &blocks_;
};

TEST(packets_are_kept_in_memory_back_to_back) {
    std::list<Bytes> blocks;
    const auto memory = std::make_shared<MemorySender>(std::make_unique<Blocks>(blocks));
    auto sender = make_sender(as_sender(memory));
    const Bytes payload = numbered_bytes(100'000);
    const std::vector<OutgoingHeap> heaps{heap_of(1, payload), heap_of(2, payload)};
    Bytes once;
    for (const Bytes &packet : packets_of(heaps, GroupMode::serial, {})) once.insert(once.end(), packet.begin(), packet.end());
    Bytes twice = once;
    twice.insert(twice.end(), once.begin(), once.end());
    const auto cut = [&](std::size_t size) {
        blocks.back().resize(size);
        return &blocks.back();
    };

    send_now(*sender, heaps);
    const Bytes *first = memory->taken(cut);
    CHECK(*first == once);
    send_now(*sender, heaps);
    CHECK(*memory->taken(cut) == twice);
    CHECK(*first == once);  // what was taken stays as it is

    memory->taken([](std::size_t) -> Bytes * { return nullptr; });
    send_now(*sender, heaps);
    CHECK(*memory->taken(cut) == once);
}

TEST(a_worker_that_found_much_of_a_heap_looks_again_after_a_rest) {
    const Bytes payload = numbered_bytes(150'000);
    const std::vector<Bytes> packets = packets_of({heap_of(1, payload)}, GroupMode::serial, {});
    const auto third = static_cast<std::ptrdiff_t>(packets.size() / 3);
    std::vector<std::vector<Bytes>> pulses;
    for (std::ptrdiff_t i = 0; i < 2; i++) pulses.emplace_back(packets.begin() + i * third, packets.begin() + (i + 1) * third);
    // What the last pulse sets is not needed to get it: nothing but the rests can have the worker ask again.
    pulses.emplace_back(packets.begin() + 2 * third, packets.end());
    Workers workers(1, {});
    auto receiver = make_receiver();
    receiver->add_reader(as_receiver(std::make_shared<Pulsing>(std::move(pulses), 1000)), workers.assign());
    CHECK(payload_of(wait_for_heap(*receiver)) == payload);
    receiver->stop();
    workers.stop();
}

TEST(a_worker_waits_where_a_heap_or_little_came_or_no_rest_is_asked_for) {
    const Bytes payload = numbered_bytes(150'000);
    const std::vector<Bytes> packets = packets_of({heap_of(1, payload)}, GroupMode::serial, {});
    const std::vector<Bytes> another = packets_of({heap_of(2, payload)}, GroupMode::serial, {});
    const std::vector<Bytes> beginning(packets.begin(), packets.begin() + 1);
    const std::vector<Bytes> most(packets.begin(), packets.end() - 1);
    struct Example {
        std::vector<Bytes> first;
        std::uint32_t rest_ns;
    };
    for (const Example &example : {Example{packets, 1000}, Example{beginning, 1000}, Example{most, 0}}) {
        Workers workers(1, {});
        auto receiver = make_receiver({.assembler = {.max_heaps = 8}, .ring_heaps = 100});
        const auto pulsing = std::make_shared<Pulsing>(std::vector{example.first, another}, example.rest_ns);
        receiver->add_reader(as_receiver(pulsing), workers.assign());
        if (example.first.size() == packets.size()) CHECK_EQUAL(wait_for_heap(*receiver).cnt, 1u);
        while (pulsing->calls < 2) std::this_thread::yield();
        CHECK(receiver->wait(0.01) == Waited::timed_out);
        CHECK_EQUAL(pulsing->calls.load(), 2u);
        pulsing->over.set();
        CHECK_EQUAL(wait_for_heap(*receiver).cnt, 2u);
        receiver->stop();
        workers.stop();
    }
}

TEST(many_threads_send_and_a_worker_receives) {
    constexpr int threads = 3;
    constexpr int heaps = 200;
    const auto queue = std::make_shared<PacketQueue>();
    Workers workers(2, {});
    ReceiveConfig config;
    config.ring_heaps = 2;  // so that the worker has to pause
    config.assembler.max_heaps = 64;
    auto receiver = make_receiver(config);
    receiver->add_reader(queue_receiver(queue), workers.assign());
    const Bytes payload = numbered_bytes(5000);
    std::atomic<int> finished{0};
    auto sender = make_sender(queue_sender(queue), {.encoder = {}, .max_heaps = 100000}, &finished);
    std::vector<std::thread> senders;
    for (int t = 0; t < threads; t++)
        senders.emplace_back([&, t] {
            for (int i = 0; i < heaps; i++) {
                const auto group = group_of({heap_of(static_cast<std::uint64_t>(t * heaps + i), payload)});
                if (i % 2) {
                    if (!sender->submit(group)) sender->drive_with(workers.assign(), nullptr);
                } else {
                    if (!sender->begin(group)) sender->drive(*group, -1.0);
                }
            }
        });
    while (receiver->statistics().worker_blocked == 0) std::this_thread::yield();
    for (int i = 0; i < threads * heaps; i++) CHECK(payload_of(wait_for_heap(*receiver)) == payload);
    for (std::thread &thread : senders) thread.join();
    CHECK(sender->flush(patience) == Waited::ready);
    CHECK_EQUAL(finished.load(), threads * heaps / 2);
    receiver->stop();
    wait_for_end(*receiver);
    workers.stop();
}

TEST(stopping_and_closing_wakes_who_waits) {
    const auto queue = std::make_shared<PacketQueue>();
    auto receiver = make_receiver();
    receiver->add_reader(queue_receiver(queue), nullptr);
    std::thread waiting([&] { wait_for_end(*receiver); });
    receiver->stop();
    waiting.join();

    const Bytes payload = numbered_bytes(100000);
    auto sender = make_sender(queue_sender(queue), {.encoder = {.rate = 1000.0, .burst_size = 1000}});
    const auto group = group_of({heap_of(1, payload)});
    CHECK(!sender->begin(group));
    std::thread sending([&] { sender->drive(*group, -1.0); });
    sender->close();
    sending.join();
    CHECK(group->error()->kind == ErrorKind::closed);
    CHECK(CHECK_THROWS(TransportException, sender->begin(group_of({heap_of(2, payload)}))).error.kind == ErrorKind::closed);
}

TEST(a_forgotten_sender_still_sends) {
    const auto queue = std::make_shared<PacketQueue>();
    const Bytes payload = numbered_bytes(3000);
    std::atomic<int> finished{0};
    const auto workers = std::make_shared<Workers>(1, std::vector<int>{});
    {
        auto sender = make_sender(queue_sender(queue), {.encoder = {.rate = 1e6, .burst_size = 1000}}, &finished);
        if (!sender->submit(group_of({heap_of(1, payload)}))) sender->drive_with(workers->assign(), workers);
    }
    auto receiver = make_receiver();
    receiver->add_reader(queue_receiver(queue), nullptr);
    CHECK(payload_of(wait_for_heap(*receiver)) == payload);
    while (finished == 0) std::this_thread::yield();
}

TEST(udp_carries_heaps_with_and_without_the_kernels_help) {
    for (const bool offload : {true, false}) {
        SocketAddress address;
        std::vector<FileDescriptor> sockets;
        sockets.push_back(udp_socket(address));
        auto workers = Workers(1, {});
        auto receiver = make_receiver({.assembler = {.max_heaps = 8}, .ring_heaps = 1000});
        receiver->add_reader(as_receiver(std::make_shared<UdpReceiver>(std::move(sockets), 9200, offload)), workers.assign());
        FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        auto sender = make_sender(as_sender(std::make_shared<UdpSender>(std::move(socket), std::vector{address}, offload)),
                                  {.encoder = {}, .max_heaps = 300});
        const Bytes large = numbered_bytes(20000);
        const Bytes small = numbered_bytes(64);
        for (std::uint64_t cnt = 0; cnt < 20; cnt++) {
            const Bytes &payload = cnt % 2 ? large : small;
            send_now(*sender, {heap_of(cnt, payload)});
            CHECK(payload_of(wait_for_heap(*receiver)) == payload);
        }
        // More than any kernel takes in one message, and less than its buffer holds.
        std::vector<OutgoingHeap> many;
        for (std::uint64_t cnt = 20; cnt < 170; cnt++) many.push_back(heap_of(cnt, small));
        send_now(*sender, many);
        for (std::size_t i = 0; i < many.size(); i++) CHECK(payload_of(wait_for_heap(*receiver)) == small);
        receiver->stop();
        workers.stop();
    }
}

TEST(a_datagram_that_is_too_long_is_counted) {
    SocketAddress address;
    std::vector<FileDescriptor> sockets;
    sockets.push_back(udp_socket(address));
    auto receiver = make_receiver();
    receiver->add_reader(as_receiver(std::make_shared<UdpReceiver>(std::move(sockets), 100, false)), nullptr);
    FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto sender = make_sender(as_sender(std::make_shared<UdpSender>(std::move(socket), std::vector{address})));
    send_now(*sender, {heap_of(1, numbered_bytes(1000))});
    const Bytes payload = numbered_bytes(10);
    send_now(*sender, {heap_of(2, payload)});
    CHECK_EQUAL(wait_for_heap(*receiver).cnt, 2u);
    CHECK_EQUAL(receiver->drops().at("truncated"), 1u);
    receiver->stop();
}
