#include <array>
#include <atomic>
#include <thread>

#include "block_pool.hpp"
#include "check.hpp"
#include "chunk_runner.hpp"
#include "packet_queue.hpp"
#include "support.hpp"

using namespace spead;
using namespace support;

namespace {

constexpr std::size_t heap_size = 64;
constexpr std::uint64_t chunk_item = 0x1001;
constexpr std::uint64_t index_item = 0x1002;

// A packet of a heap that says where it belongs; the payload is the heap's number.
Bytes packet_of(std::uint64_t cnt, std::uint64_t chunk, std::uint64_t index, std::size_t offset, std::size_t size) {
    const std::array<std::uint64_t, 7> words = {header_word(40) + 6,
                                                immediate(heap_cnt_id, 40) | cnt,
                                                immediate(heap_length_id, 40) | heap_size,
                                                immediate(payload_offset_id, 40) | offset,
                                                immediate(payload_length_id, 40) | size,
                                                immediate(chunk_item, 40) | chunk,
                                                immediate(index_item, 40) | index};
    Bytes packet;
    for (const std::uint64_t word : words)
        for (int shift = 56; shift >= 0; shift -= 8) packet.push_back(static_cast<std::uint8_t>(word >> shift));
    packet.insert(packet.end(), size, static_cast<std::uint8_t>(cnt));
    return packet;
}

void push(PacketQueue &queue, const std::vector<Bytes> &packets) {
    const WholePackets whole(packets);
    queue.push(OwnedBatch(whole.view(), packets.size()));
}

// Rings with chunks for some heaps each.
struct Rings {
    std::shared_ptr<ChunkRing> data;
    std::shared_ptr<ChunkRing> free;

    Rings(std::size_t chunks, std::size_t heaps)
        : data(std::make_shared<ChunkRing>(chunks)), free(std::make_shared<ChunkRing>(chunks)) {
        for (std::size_t i = 0; i < chunks; i++) {
            const auto memory = std::make_shared<Bytes>(heaps * (heap_size + 1));
            Chunk chunk;
            chunk.data = std::span(*memory).first(heaps * heap_size);
            chunk.present = std::span(*memory).last(heaps);
            chunk.owner = memory;
            CHECK(free->put(chunk) == ChunkRing::Result::done);
        }
    }
    // The next chunk that a stream has filled; false at the end.
    bool next(Chunk &chunk) {
        for (;;) {
            const ChunkRing::Result result = data->take(chunk);
            if (result != ChunkRing::Result::refused) return result == ChunkRing::Result::done;
            CHECK(wait_readable(data->data_fd(), 30.0) == Waited::ready);
        }
    }
};

std::shared_ptr<Placer> layout() {
    using Operation = LayoutPlacer::Operation;
    return std::make_shared<LayoutPlacer>(
        2, std::vector<std::size_t>{0, 1}, LayoutPlacer::Program{{Operation::name, 0}}, LayoutPlacer::Program{{Operation::name, 1}},
        LayoutPlacer::Program{{Operation::name, 3}, {Operation::constant, heap_size}, {Operation::multiply, 0}});
}

std::shared_ptr<ChunkRunner> make_runner(const std::shared_ptr<ChunkWindow> &window, AssemblerConfig assembler = {}) {
    ChunkConfig config;
    config.assembler = assembler;
    config.placement.items = {chunk_item, index_item};
    return std::make_shared<ChunkRunner>(config, layout(), window, [](bool, const std::string &) {});
}

// The pool of the process, which outlives everybody.
std::shared_ptr<HeapAllocator> shared_pool() { return {std::shared_ptr<void>(), &SegmentPool::shared()}; }

Receiver receiver_of(const std::shared_ptr<PacketQueue> &queue) {
    return as_receiver(std::make_shared<QueueReceiver>(std::vector{std::make_shared<QueueReader>(queue)}));
}

// What members that run at the same time put into their common chunks, and what they count.
void fill_together(bool lossless, std::size_t num_members) {
    constexpr std::uint64_t num_chunks = 200;
    constexpr std::size_t heaps_of_each = 3;
    Rings rings(4, num_members * heaps_of_each);
    const auto window = std::make_shared<ChunkWindow>(2, rings.data, rings.free, lossless);
    std::vector<std::shared_ptr<ChunkRunner>> runners;
    for (std::size_t i = 0; i < num_members; i++) runners.push_back(make_runner(window));
    Workers workers(num_members, {});
    for (std::size_t member = 0; member < num_members; member++) {
        const auto queue = std::make_shared<PacketQueue>();
        for (std::uint64_t chunk = 0; chunk < num_chunks; chunk++) {
            std::vector<Bytes> first, second;
            for (std::size_t i = 0; i < heaps_of_each; i++) {
                const std::uint64_t index = member * heaps_of_each + i;
                const std::uint64_t cnt = chunk * num_members * heaps_of_each + index;
                first.push_back(packet_of(cnt, chunk, index, 0, heap_size / 2));
                second.push_back(packet_of(cnt, chunk, index, heap_size / 2, heap_size / 2));
            }
            push(*queue, first);
            push(*queue, second);
        }
        queue->stop();
        runners[member]->add_reader(receiver_of(queue), workers.assign());
    }
    std::uint64_t expected = 0;
    std::uint64_t present = 0;
    Chunk chunk;
    while (rings.next(chunk)) {
        if (lossless) CHECK_EQUAL(chunk.id, expected++);
        for (std::size_t index = 0; index < chunk.present.size(); index++) {
            if (!chunk.present[index]) continue;
            present++;
            const auto cnt = static_cast<std::uint8_t>(chunk.id * num_members * heaps_of_each + index);
            for (const std::uint8_t byte : chunk.data.subspan(index * heap_size, heap_size)) CHECK_EQUAL(byte, cnt);
        }
        CHECK(rings.free->put(chunk) == ChunkRing::Result::done);
    }
    std::uint64_t too_old = 0;
    for (const auto &runner : runners) too_old += runner->statistics().second.too_old_heaps;
    CHECK_EQUAL(present + too_old, num_chunks * num_members * heaps_of_each);
    if (lossless) CHECK_EQUAL(too_old, 0u);
    for (const auto &runner : runners) runner->stop();
    workers.stop();
}

}  // namespace

TEST(one_stream_fills_chunks) { fill_together(true, 1); }

TEST(streams_of_a_lossless_group_fill_chunks_together) { fill_together(true, 3); }

TEST(streams_of_a_lossy_group_fill_chunks_together) { fill_together(false, 3); }

TEST(a_stream_is_stopped_while_it_waits_for_a_chunk) {
    Rings rings(1, 1);
    const auto window = std::make_shared<ChunkWindow>(1, rings.data, rings.free, false);
    const auto runner = make_runner(window);
    Workers workers(1, {});
    const auto queue = std::make_shared<PacketQueue>();
    push(*queue, {packet_of(1, 0, 0, 0, heap_size), packet_of(2, 1, 0, 0, heap_size), packet_of(3, 2, 0, 0, heap_size)});
    runner->add_reader(receiver_of(queue), workers.assign());
    while (rings.free->statistics().empty == 0) std::this_thread::yield();
    runner->stop();
    const auto [statistics, chunks] = runner->statistics();
    CHECK_EQUAL(statistics.packets + statistics.rejected[static_cast<std::size_t>(Rejection::stopped)], 3u);
    Chunk chunk;
    CHECK(rings.next(chunk));
    CHECK_EQUAL(chunk.id, 0u);
    CHECK(!rings.next(chunk));
}

TEST(old_heaps_are_given_up_in_the_order_of_their_age) {
    AssemblerConfig config;
    config.max_heap_age = 2.0;
    HeapAssembler assembler(config);
    std::vector<ReceivedHeap> heaps;
    const auto add = [&](std::uint64_t cnt, double now) {
        const std::vector<Bytes> packets = {packet_of(cnt, 0, 0, 0, heap_size / 2)};
        assembler.add(WholePackets(packets).view(), now, heaps);
    };
    add(5, 10.0);
    add(3, 10.5);
    add(4, 11.0);
    CHECK_EQUAL(assembler.next_expiry(), 12.0);
    assembler.expire(11.9, heaps);
    CHECK(heaps.empty());
    assembler.expire(12.5, heaps);
    CHECK_EQUAL(heaps.size(), 2u);
    CHECK_EQUAL(heaps[0].cnt, 5u);
    CHECK_EQUAL(heaps[1].cnt, 3u);
    CHECK_EQUAL(assembler.next_expiry(), 13.0);
}

TEST(programs_that_use_what_is_not_there_are_refused) {
    using Operation = LayoutPlacer::Operation;
    const LayoutPlacer::Program one = {{Operation::constant, 1}};
    CHECK_THROWS(std::invalid_argument, LayoutPlacer(1, {}, {{Operation::add, 0}}, one, one));
    CHECK_THROWS(std::invalid_argument, LayoutPlacer(1, {}, {{Operation::name, 1}}, one, one));
    CHECK_THROWS(std::invalid_argument, LayoutPlacer(1, {}, one, {{Operation::name, -1}}, one));
    CHECK_THROWS(std::invalid_argument, LayoutPlacer(1, {}, one, one, {}));
    CHECK_THROWS(std::invalid_argument, LayoutPlacer(1, {1}, one, one, one));
}

TEST(threads_share_a_pool_that_is_refilled) {
    Workers workers(1, {});
    const auto pool = std::make_shared<BlockPool>(BlockPoolConfig{1, 5000, 4, 2}, shared_pool(), workers.assign(),
                                                  [](const std::string &) {});
    pool->fill(2);
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; number++) {
        threads.emplace_back([&pool] {
            for (int i = 0; i < 500; i++) {
                const SegmentRef memory = pool->allocate(4000);
                CHECK_EQUAL(memory.size(), 4000u);
                std::fill_n(memory.data(), memory.size(), std::uint8_t{1});
            }
        });
    }
    for (std::thread &thread : threads) thread.join();
    workers.stop();
    const BlockPoolStatistics statistics = pool->statistics();
    CHECK_EQUAL(statistics.requests, 2000u);
    CHECK_EQUAL(statistics.lent, 0u);
    CHECK_EQUAL(statistics.made, statistics.free + statistics.released);
    CHECK(pool->allocate(5001).size() >= 5001);
    CHECK_EQUAL(pool->statistics().requests_out_of_range, 1u);
}

TEST(memory_outlives_its_pool) {
    auto pool = std::make_shared<BlockPool>(BlockPoolConfig{1, 100, 1, 0}, shared_pool(), nullptr, [](const std::string &) {});
    const SegmentRef memory = pool->allocate(100);
    pool.reset();
    memory.data()[99] = 1;
}
