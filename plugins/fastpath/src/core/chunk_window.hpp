// The chunks that are being filled, by one stream or by a group of them.
//
// The chunks of a window have consecutive numbers, and leave it in their order. Each member has a window of its own in it: a
// heap for an earlier chunk comes too late.
//
// Members fill chunks at the same time, without a lock. A member works between `enter` and `pause`. While it does so, nobody
// else moves its own window, and no chunk goes to the user that it may still write to: one that it has not passed, or in which
// it has heaps that are not complete (*tenants*). Whoever needs such a chunk gone waits until the member pauses, which it does
// after each batch, and on which occasion it moves its window and abandons its tenants as far as was asked for. All else is
// guarded by the window's lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "chunk_ring.hpp"

namespace spead {

// A chunk that is being filled; or what is left of it while there are tenants, whose memory is the user's then.
struct OpenChunk : std::enable_shared_from_this<OpenChunk> {
    // What it holds of one member.
    struct Share {
        std::atomic<std::size_t> tenants{0};
        bool abandoned = false;
    };

    Chunk chunk;
    bool is_open = true;
    std::vector<Share> shares;

    OpenChunk(Chunk &&chunk, std::size_t members) : chunk(std::move(chunk)), shares(members) {}
};

class ChunkWindow;

// A stream's part in a window: for its runner only.
class WindowMember : public RingWaiter {
public:
    enum class Find { found, too_old, blocked, stopped };

    // `wake` of the derived class: `find` may succeed after it had to wait.
    WindowMember(std::shared_ptr<ChunkWindow> window, std::uint64_t stream_id, std::size_t max_chunks);

    std::size_t index() const noexcept { return index_; }
    // Before and after a batch.
    void enter();
    void pause();
    // The chunk with a number, in `chunk`; it stays until the member moves on. `blocked`: it is not there yet, and there is no
    // free chunk, no room for older chunks in the data ring, or another member to wait for; `wake` will be called. `stopped`:
    // one of the rings was stopped. To be called while the member works.
    Find find(std::uint64_t chunk_id, OpenChunk *&chunk);
    // Give away what could not be given away earlier. To be called while the member pauses.
    void catch_up();
    // The stream has ended: nobody waits for it any more. To be called while the member pauses.
    void leave();

private:
    friend class ChunkWindow;

    const std::shared_ptr<ChunkWindow> window_;
    const std::uint64_t stream_id_;
    const std::uint64_t max_chunks_;
    std::size_t index_ = 0;
    ChunkRing::Waiter self_;
    bool works_ = false;
    // The first chunk that is not too old, and one past the latest that the stream had a heap for.
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;
    // What `find` found last.
    OpenChunk *last_ = nullptr;
    std::uint64_t last_id_ = 0;
};

class ChunkWindow {
public:
    // `lossless`: a member that is ahead waits for the others, rather than they lose what is behind.
    ChunkWindow(std::size_t max_chunks, std::shared_ptr<ChunkRing> data_ring, std::shared_ptr<ChunkRing> free_ring, bool lossless);

    // Take part in filling chunks. Members join before the first chunk is taken.
    void join(const std::shared_ptr<WindowMember> &member);
    // Whether chunks have been taken from the free ring.
    bool began() const;
    // For a window that nobody has joined: nothing will come of it.
    void close() { data_ring_->remove_producer(); }

private:
    friend class WindowMember;
    using Find = WindowMember::Find;

    Find find(WindowMember &member, std::uint64_t chunk_id, OpenChunk *&chunk);
    Find make_room(WindowMember &member, std::uint64_t chunk_id);
    Find release_passed(WindowMember &member);
    bool in_use(const OpenChunk &chunk, const WindowMember &member) const;
    std::uint64_t first_not_passed() const;
    void open(Chunk &&chunk, const WindowMember &member);
    void comply(WindowMember &member);
    void wake(std::vector<WindowMember *> &waiting, const WindowMember &by);
    void leave(WindowMember &member);

    const std::uint64_t max_chunks_;
    const std::shared_ptr<ChunkRing> data_ring_;
    const std::shared_ptr<ChunkRing> free_ring_;
    const bool lossless_;
    mutable std::mutex mutex_;
    // The last of them has number `tail_` - 1.
    std::deque<std::shared_ptr<OpenChunk>> chunks_;
    std::uint64_t tail_ = 0;
    std::vector<WindowMember *> members_;
    // Those who wait until others have gone on to later chunks, or until others pause.
    std::vector<WindowMember *> waiting_for_progress_;
    std::vector<WindowMember *> waiting_for_pause_;
    // Where somebody wants the windows of all members to begin.
    std::uint64_t wanted_head_ = 0;
    std::size_t joined_ = 0;
    bool began_ = false;
    // Whether a chunk that all have passed is still here.
    std::atomic<bool> overdue_{false};
};

// A heap that is not complete, in its chunk. Made and destroyed by a member while it works or has left.
class Tenancy {
public:
    Tenancy() = default;
    Tenancy(std::shared_ptr<OpenChunk> chunk, std::size_t member) : chunk_(std::move(chunk)), member_(member) {
        chunk_->shares[member_].tenants.fetch_add(1, std::memory_order_relaxed);
    }
    Tenancy(Tenancy &&other) noexcept : chunk_(std::move(other.chunk_)), member_(other.member_) {}
    Tenancy &operator=(Tenancy other) noexcept {
        std::swap(chunk_, other.chunk_);
        std::swap(member_, other.member_);
        return *this;
    }
    ~Tenancy() {
        // What was written to the chunk comes before whoever finds it without tenants.
        if (chunk_) chunk_->shares[member_].tenants.fetch_sub(1, std::memory_order_release);
    }

    explicit operator bool() const noexcept { return chunk_ != nullptr; }
    // Null if the chunk has left, or is about to.
    OpenChunk *chunk() const noexcept {
        // In this order: what the member has not abandoned is not given away while it works.
        return chunk_ && !chunk_->shares[member_].abandoned && chunk_->is_open ? chunk_.get() : nullptr;
    }

private:
    std::shared_ptr<OpenChunk> chunk_;
    std::size_t member_ = 0;
};

}  // namespace spead
