// Puts heaps into chunks, where a placer says, after checking that this is inside the chunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chunk_places.hpp"
#include "chunk_window.hpp"
#include "notices.hpp"

namespace spead {

struct PlacementConfig {
    // Ids of the immediate items whose values the placer is given.
    std::vector<std::uint64_t> items;
    std::size_t max_heap_extra = 0;
    // Payload of a packet in bytes if there is an element of `present` for each packet; else 0.
    std::int64_t packet_size = 0;
    // How many statistics every stream has. They come before those that the placer may add to; and for each of these, whether
    // the larger value counts, rather than the sum.
    std::size_t num_core_stats = 0;
    std::vector<bool> stats_are_maxima;
};

// What streams with chunks count besides: see engine.chunks.config.
struct ChunkStatistics {
    // Of the user's own.
    std::vector<std::uint64_t> custom;
    std::uint64_t too_old_heaps = 0;
    std::uint64_t rejected_heaps = 0;
    std::uint64_t misplaced_heaps = 0;
};

// Where a heap is. Valid while the heap's packets are taken in.
struct HeapPlace {
    // Null if it has no place, or none any more: its payload is not kept.
    OpenChunk *chunk = nullptr;
    std::size_t heap_index = 0;
    std::uint8_t *payload = nullptr;
};

// The same for as long as the heap is not complete.
class HeapLodging {
public:
    HeapLodging() = default;
    HeapLodging(const HeapPlace &place, std::size_t member)
        : tenancy_(place.chunk ? Tenancy(place.chunk->shared_from_this(), member) : Tenancy()), place_(place) {}

    explicit operator bool() const noexcept { return bool(tenancy_); }
    HeapPlace place() const noexcept { return tenancy_.chunk() ? place_ : HeapPlace{}; }

private:
    Tenancy tenancy_;
    HeapPlace place_;
};

// Used by one caller at a time.
class ChunkPlacement {
public:
    enum class Begin { placed, blocked, stopped };
    using Packets = std::span<const DecodedPacket>;

    ChunkPlacement(PlacementConfig config, std::shared_ptr<Placer> placer, std::shared_ptr<WindowMember> member);

    // For as long as it lives, the methods below may be called.
    class Session {
    public:
        explicit Session(ChunkPlacement *placement) : member_(placement ? placement->member_.get() : nullptr) {
            if (member_) member_->enter();
        }
        ~Session() {
            if (member_) member_->pause();
        }
        Session(const Session &) = delete;
        Session &operator=(const Session &) = delete;

    private:
        WindowMember *const member_;
    };

    // Whether `prepare` wants to know which packets of a batch start a heap.
    bool wants_batches() const noexcept { return placer_->wants_batches(); }
    // A batch of packets is about to be taken in. `beginnings`: indices of those that start a heap, in ascending order.
    void prepare(Packets packets, std::span<const std::size_t> beginnings, double now, Notices &notices);
    // Packet `index` of the batch starts a heap of `length` bytes. `blocked`, `stopped`: as WindowMember::find. Nothing has
    // changed then, and the call may be made again.
    Begin begin(Packets packets, std::size_t index, std::int64_t length, double now, Notices &notices, HeapPlace &place);
    // A heap is not complete yet.
    HeapLodging lodge(const HeapPlace &place) const { return {place, member_->index()}; }
    // Packets of a heap are in its place.
    void arrived(const HeapPlace &place, Packets packets, std::int64_t length) const noexcept;
    // A heap ended as it started; or later.
    void finish(const HeapPlace &place) noexcept;
    void finish(const HeapLodging &lodging, bool complete) noexcept;

    const ChunkStatistics &statistics() const noexcept { return statistics_; }

private:
    // What the placer said about some heaps.
    struct Answers {
        // Of their first packets, in ascending order.
        std::vector<std::size_t> indices;
        std::vector<HeapToPlace> heaps;
        std::vector<std::int64_t> items;
        std::vector<std::uint8_t> extra;
        // Whether it failed instead.
        bool failed = false;
    };

    const HeapToPlace *place_of(Packets packets, std::size_t index, double now, Notices &notices);
    void ask(Answers &answers, Packets packets, double now, Notices &notices);
    void read_items(const PacketHeader &header, std::int64_t *values) const noexcept;
    void add_stats() noexcept;
    std::string problem_with(const HeapToPlace &heap, const Chunk &chunk, std::int64_t length) const;

    const PlacementConfig config_;
    const std::shared_ptr<Placer> placer_;
    const std::shared_ptr<WindowMember> member_;
    ChunkStatistics statistics_;
    std::vector<std::uint64_t> batch_stats_;
    Answers batch_;
    Answers single_;
};

}  // namespace spead
