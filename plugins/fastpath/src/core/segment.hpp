// Memory with a reference count, and the pool that it comes from.
//
// Segments are shared between a transport, the packets in flight and the heaps that were received into them. Those of
// the pool are sorted by size, four steps to each power of two, and kept for reuse when the last reference goes, so that
// the system's page faults stay off the data path. What is kept is bounded; the rest goes back to the system.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>

#include "spead_transport.h"

namespace spead {

// Tell the system that memory is worth huge pages: there are fewer page faults when it is first written to.
void prefer_huge_pages(std::span<std::uint8_t> memory) noexcept;

// A counted reference to a segment of any origin; may be empty.
class SegmentRef {
public:
    SegmentRef() = default;
    SegmentRef(const SegmentRef &other) noexcept : segment_(other.segment_) {
        if (segment_) segment_->retain(segment_);
    }
    SegmentRef(SegmentRef &&other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
    SegmentRef &operator=(SegmentRef other) noexcept {
        std::swap(segment_, other.segment_);
        return *this;
    }
    ~SegmentRef() {
        if (segment_) segment_->release(segment_);
    }

    // Take over a reference that the caller owns.
    static SegmentRef take(spead_segment *segment) noexcept {
        SegmentRef ref;
        ref.segment_ = segment;
        return ref;
    }
    // One more reference.
    static SegmentRef share(spead_segment *segment) noexcept {
        if (segment) segment->retain(segment);
        return take(segment);
    }

    explicit operator bool() const noexcept { return segment_ != nullptr; }
    spead_segment *get() const noexcept { return segment_; }
    std::uint8_t *data() const noexcept { return segment_->data; }
    std::size_t size() const noexcept { return segment_->size; }

private:
    spead_segment *segment_ = nullptr;
};

// Where the memory of received heaps comes from. Called from any thread.
class HeapAllocator {
public:
    virtual ~HeapAllocator() = default;
    // At least `size` bytes (their contents are arbitrary), or an empty reference if there is no memory.
    virtual SegmentRef allocate(std::size_t size) = 0;
};

class SegmentPool final : public HeapAllocator {
public:
    // Keep at most `max_kept` bytes of unused segments.
    explicit SegmentPool(std::size_t max_kept);
    ~SegmentPool() override;
    SegmentPool(const SegmentPool &) = delete;
    SegmentPool &operator=(const SegmentPool &) = delete;

    SegmentRef allocate(std::size_t size) override { return SegmentRef::take(allocate(size, 1)); }
    // Several references to one segment, or null if there is no memory.
    spead_segment *allocate(std::size_t size, std::size_t references);
    // Give several references to a segment of a pool back.
    static void release(spead_segment *segment, std::size_t references) noexcept;
    // Unused segments that are kept, in bytes.
    std::size_t kept() const noexcept { return kept_.load(std::memory_order_relaxed); }

    // The pool of the process. It is never destroyed: segments may outlive whatever asked for them.
    static SegmentPool &shared();

private:
    struct Segment;
    struct alignas(64) Shelf {
        std::mutex mutex;
        Segment *first = nullptr;
    };
    static constexpr std::size_t num_shelves = 4 * 64;

    static Segment *create(SegmentPool &pool, std::size_t shelf);
    static void destroy(Segment *segment) noexcept;
    void put_back(Segment *segment) noexcept;

    std::size_t max_kept_;
    std::atomic<std::size_t> kept_{0};
    std::array<Shelf, num_shelves> shelves_;
};

}  // namespace spead
