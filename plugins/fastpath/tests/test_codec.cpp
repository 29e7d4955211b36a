#include <algorithm>
#include <limits>

#include "byte_order.hpp"
#include "check.hpp"
#include "heap_ring.hpp"
#include "memory_carver.hpp"
#include "packet_plan.hpp"
#include "support.hpp"

using namespace spead;
using namespace support;

namespace {

std::vector<ReceivedHeap> assemble(const std::vector<Bytes> &packets, const AssemblerConfig &config = {}) {
    HeapAssembler assembler(config);
    std::vector<ReceivedHeap> heaps;
    assembler.add(WholePackets(packets).view(), 0.0, heaps);
    assembler.flush(heaps);
    return heaps;
}

}  // namespace

TEST(a_heap_survives_being_sent) {
    for (const std::size_t size : {0, 1, 7, 8, 100, 1424, 1425, 5000, 100000}) {
        const Bytes payload = numbered_bytes(size);
        const auto heaps = assemble(packets_of({heap_of(7, payload)}, GroupMode::serial, {}));
        CHECK_EQUAL(heaps.size(), 1u);
        CHECK(heaps[0].complete);
        CHECK_EQUAL(heaps[0].cnt, 7u);
        Bytes received = payload_of(heaps[0]);
        received.resize(size);  // what is empty is padded
        CHECK(received == payload);
    }
}

TEST(interleaved_heaps_are_told_apart_however_many_there_are) {
    constexpr std::size_t count = 4096;
    const Bytes payload = numbered_bytes(200);
    std::vector<OutgoingHeap> heaps;
    for (std::size_t i = 0; i < count; i++) heaps.push_back(heap_of(i, payload));
    const auto packets = packets_of(heaps, GroupMode::round_robin, {.max_packet_size = 128});
    AssemblerConfig config;
    config.max_heaps = count;
    const auto received = assemble(packets, config);
    CHECK_EQUAL(received.size(), count);
    CHECK(std::all_of(received.begin(), received.end(),
                      [&](const ReceivedHeap &heap) { return heap.complete && payload_of(heap) == payload; }));
}

TEST(a_heap_may_arrive_backwards) {
    const Bytes payload = numbered_bytes(3000);
    auto packets = packets_of({heap_of(1, payload)}, GroupMode::serial, {.max_packet_size = 128});
    std::reverse(packets.begin(), packets.end());
    AssemblerConfig config;
    config.allow_out_of_order = true;
    const auto heaps = assemble(packets, config);
    CHECK_EQUAL(heaps.size(), 1u);
    CHECK(payload_of(heaps[0]) == payload);
}

TEST(random_bytes_and_damaged_packets_do_no_harm) {
    std::mt19937 random(1);
    const Bytes payload = numbered_bytes(600);
    const auto good = packets_of({heap_of(1, payload), heap_of(2, payload)}, GroupMode::round_robin, {.max_packet_size = 96});
    for (int round = 0; round < 2000; round++) {
        AssemblerConfig config;
        config.max_heaps = 1 + random() % 3;
        config.allow_out_of_order = random() % 2;
        config.allow_unsized_heaps = random() % 2;
        config.max_heap_size = random() % 2 ? 1 << 20 : 300;
        auto packets = good;
        for (Bytes &packet : packets) {
            if (random() % 3) continue;
            for (std::size_t n = random() % 4; n > 0; n--) packet[random() % packet.size()] = static_cast<std::uint8_t>(random());
            if (random() % 4 == 0) packet.resize(random() % packet.size());
        }
        std::shuffle(packets.begin(), packets.end(), random);
        HeapAssembler assembler(config);
        std::vector<ReceivedHeap> heaps;
        assembler.add(WholePackets(packets).view(), 0.0, heaps);
        assembler.flush(heaps);
        const Statistics &s = assembler.statistics();
        CHECK_EQUAL(s.packets + std::accumulate(s.rejected.begin(), s.rejected.end(), std::uint64_t{0}), packets.size());
        CHECK_EQUAL(s.heaps, heaps.size());
        for (const ReceivedHeap &heap : heaps)
            if (heap.complete) CHECK_EQUAL(payload_of(heap).size(), static_cast<std::size_t>(heap.length));
    }
}

TEST(a_claimed_length_is_not_allocated_at_once) {
    // A thousand heaps that claim to have a gigabyte each: all virtual, until somebody sends it.
    std::vector<Bytes> packets;
    for (std::uint64_t cnt = 0; cnt < 1000; cnt++) {
        Bytes packet(prefix_size + 8);
        store_word(packet.data(), header_word(40) + 4);
        store_word(packet.data() + 8, immediate(heap_cnt_id, 40) | cnt);
        store_word(packet.data() + 16, immediate(heap_length_id, 40) | (1 << 30));
        store_word(packet.data() + 24, immediate(payload_offset_id, 40));
        store_word(packet.data() + 32, immediate(payload_length_id, 40) | 8);
        packets.push_back(std::move(packet));
    }
    const auto heaps = assemble(packets);
    CHECK_EQUAL(heaps.size(), 1000u);
    CHECK(!heaps[0].complete);
}

TEST(plans_are_refused_that_cannot_be) {
    CHECK_THROWS(std::invalid_argument, PacketPlan(1, 8, 40, 48, false));
    CHECK_THROWS(std::invalid_argument, PacketPlan(100, 8, 40, 200, true));
    CHECK_THROWS(std::invalid_argument, PacketPlan(1, 256, 8, 1472, false));
    CHECK_THROWS(std::invalid_argument, PacketPlan(1, 8, 40, 0, false));
    CHECK_EQUAL(PacketPlan(1, 8, 40, 64, false).num_packets, 1u);
}

TEST(memory_is_used_again) {
    SegmentPool pool(1 << 20);
    std::uint8_t *data = nullptr;
    {
        const SegmentRef segment = pool.allocate(1000);
        data = segment.data();
        const SegmentRef other = segment;
        CHECK_EQUAL(pool.kept(), 0u);
    }
    CHECK_EQUAL(pool.kept(), 1024u);
    CHECK(pool.allocate(900).data() == data);
    {
        const SegmentRef large = pool.allocate(8 << 20);
        large.data()[(8 << 20) - 1] = 1;
    }
    CHECK_EQUAL(pool.kept(), 1024u);  // the large one was more than is kept
    CHECK(!pool.allocate(std::numeric_limits<std::size_t>::max()));
}

TEST(small_heaps_share_memory_and_keep_it) {
    std::vector<OutgoingHeap> outgoing;
    std::vector<Bytes> payloads;
    for (std::uint64_t cnt = 0; cnt < 1000; cnt++) payloads.push_back(numbered_bytes(100, static_cast<std::uint8_t>(cnt)));
    for (std::uint64_t cnt = 0; cnt < 1000; cnt++) outgoing.push_back(heap_of(cnt, payloads[cnt]));
    const std::size_t kept = SegmentPool::shared().kept();
    {
        auto heaps = assemble(packets_of(outgoing, GroupMode::serial, {}));
        CHECK_EQUAL(heaps.size(), 1000u);
        CHECK(heaps[0].memory.get() == heaps[1].memory.get());
        CHECK(heaps[0].memory.get() != heaps[999].memory.get());
        CHECK(MemoryCarver::is_piece(heaps[0].memory, 100));
        // Each keeps its own, whichever goes first.
        heaps.erase(heaps.begin() + 1, heaps.begin() + 999);
        CHECK(payload_of(heaps[0]) == payloads[0]);
        CHECK(payload_of(heaps[1]) == payloads[999]);
    }
    CHECK(SegmentPool::shared().kept() >= kept);
    MemoryCarver carver(SegmentPool::shared());
    std::uint8_t *first = nullptr;
    std::uint8_t *second = nullptr;
    const SegmentRef one = carver.carve(0, first);
    const SegmentRef other = carver.carve(MemoryCarver::largest_piece, second);
    CHECK(first && second && first != second);
}

TEST(a_ring_gives_heaps_in_the_order_in_which_they_came) {
    HeapRing ring;
    std::uint64_t pushed = 0;
    const auto push = [&](int count) {
        std::vector<ReceivedHeap> heaps(static_cast<std::size_t>(count));
        for (ReceivedHeap &heap : heaps) heap.cnt = pushed++;
        ring.push(heaps);
        CHECK(heaps.empty());
    };
    std::vector<ReceivedHeap> taken;
    push(3);
    ring.take(taken, 2);
    push(2);
    ring.take(taken, 1);
    ring.put_back(std::span(taken).subspan(1));
    taken.resize(1);
    CHECK_EQUAL(ring.size(), 4u);
    ring.take(taken, 100);
    CHECK(ring.empty());
    push(2);
    ring.take(taken, 100);
    CHECK(ring.empty());
    CHECK_EQUAL(taken.size(), 7u);
    for (std::uint64_t cnt = 0; cnt < 7; cnt++) CHECK_EQUAL(taken[cnt].cnt, cnt);
}
