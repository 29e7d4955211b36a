// Chunks on their way between streams and users.
//
// A chunk goes round: free, being filled, given to the user, and free again. Streams never wait for a ring: one that finds
// no room, or no chunk, leaves a message and is told. Users wait by polling a file descriptor. Nothing is called, and no
// chunk destroyed, while the ring's lock is held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "event.hpp"

namespace spead {

// Memory for many heaps.
struct Chunk {
    std::uint64_t id = 0;
    std::uint64_t stream_id = 0;
    // Whether a stream has set the two.
    bool filled = false;
    std::span<std::uint8_t> data;
    // A byte for each heap, or each packet.
    std::span<std::uint8_t> present;
    std::span<std::uint8_t> extra;
    // Keeps the memory.
    std::shared_ptr<void> owner;
};

// Somebody who waits for a ring.
class RingWaiter {
public:
    virtual ~RingWaiter() = default;
    // Look again. Called from any thread, perhaps with locks of a stream held; must not block.
    virtual void wake() noexcept = 0;
};

// What went through a ring, in chunks: see ChunkRingStatistics.
struct ChunkRingStatistics {
    std::uint64_t put = 0;
    std::uint64_t taken = 0;
    std::uint64_t waiting = 0;
    std::uint64_t peak = 0;
    std::uint64_t full = 0;
    std::uint64_t empty = 0;
};

// Methods may be called from any thread.
class ChunkRing {
public:
    enum class Result { done, refused, stopped };
    using Waiter = std::shared_ptr<RingWaiter>;

    // Throws std::system_error if the system is out of file descriptors.
    explicit ChunkRing(std::size_t max_size) : max_size_(max_size) { has_space_.set(); }

    // Polls readable when `take`, or `put`, may have something to say.
    int data_fd() const noexcept { return has_data_.fileno(); }
    int space_fd() const noexcept { return has_space_.fileno(); }
    std::size_t max_size() const noexcept { return max_size_; }
    std::size_t size() const;
    ChunkRingStatistics statistics() const;

    // Put a chunk in, unless there is no room. It is taken away from `chunk` only if that succeeds.
    Result put(Chunk &chunk);
    // For streams: `waiter` is told, once, when there may be room.
    Result offer(Chunk &chunk, const Waiter &waiter);
    // Take the chunk that was put in first, if there is one. A ring that was stopped says so when it is empty.
    Result take(Chunk &chunk);
    // For streams: `waiter` is told, once, when there may be one.
    Result request(Chunk &chunk, const Waiter &waiter);
    // For streams that end: do not tell `waiter` any more.
    void forget(const RingWaiter *waiter);
    // For streams that end: put chunks in, even if there is no room for them; they stay in `chunks` if the ring was stopped.
    void put_last(std::vector<Chunk> &chunks);
    // Take no more chunks; those in the ring can still be taken. False if that is so already.
    bool stop();
    void add_producer();
    // Whether the ring was stopped, because this was the last one.
    bool remove_producer();
    // The owners of the chunks in the ring, for garbage collection.
    template <typename Visit>
    void visit_owners(Visit visit) const {
        const std::lock_guard lock(mutex_);
        for (const Chunk &chunk : chunks_) visit(chunk.owner.get());
    }
    // Drop the chunks in the ring.
    void clear();

private:
    using Waiters = std::vector<Waiter>;

    void push(Chunk &&chunk, Waiters &told);
    void pop(Chunk &chunk, Waiters &told);
    void stop(Waiters &told);

    const std::size_t max_size_;
    mutable std::mutex mutex_;
    std::deque<Chunk> chunks_;
    // Set after the lock was given up, as whoever wakes up wants it. It may therefore report a chunk that was taken already,
    // until somebody looks in vain.
    Event has_data_;
    Event has_space_;
    std::size_t producers_ = 0;
    bool stopped_ = false;
    Waiters waiting_for_space_;
    Waiters waiting_for_data_;
    ChunkRingStatistics statistics_;
};

}  // namespace spead
