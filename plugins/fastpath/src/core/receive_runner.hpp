// Moves packets from receivers through the assembler into a ring of heaps.
//
// Two locks, taken in this order and never held while waiting: that of Readers, and ring_mutex_, which guards the ring. A
// heap is taken from the ring without disturbing whoever receives. A full ring pauses the readers; a batch that completes
// several heaps at once is finished first.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "heap_ring.hpp"
#include "packet_framer.hpp"
#include "readers.hpp"

namespace spead {

struct ReceiveConfig {
    AssemblerConfig assembler;
    // How many heaps wait for the user before the readers pause.
    std::size_t ring_heaps = 4;
    // Whether only heaps without holes are delivered.
    bool contiguous_only = true;
    // Whether nothing is received before `start`.
    bool explicit_start = false;
    // Whether the stream ends with the first of its readers that ends, or with the last.
    bool end_with_any = false;
};

// What went through the ring, in heaps: all that was put there was taken, or waits.
struct RingStatistics {
    std::uint64_t put = 0;
    std::uint64_t taken = 0;
    std::uint64_t waiting = 0;
    // The most that ever waited.
    std::uint64_t peak = 0;
    // How often there was no room, so that a reader was paused.
    std::uint64_t full = 0;
};

class ReceiveRunner final : public Readers {
public:
    enum class Next { heap, empty, stopped };

    ReceiveRunner(const ReceiveConfig &config, std::shared_ptr<HeapAllocator> allocator, Log log);
    ~ReceiveRunner() override;

    // Up to `most` heaps: appended to `heaps`. If there is none, the callers' readers are driven until there is. Throws
    // TransportException, once, if a reader broke. The file descriptor still speaks of heaps that were taken, until `use_up` or
    // `put_back` is called.
    Next next(std::vector<ReceivedHeap> &heaps, std::size_t most);
    // All heaps that were taken are used.
    void use_up();
    // Heaps that were taken and not used are the next ones again.
    void put_back(std::span<ReceivedHeap> heaps);
    // Wait until `next` may have something to say; negative `seconds` wait for ever.
    Waited wait(double seconds);
    // Polls readable when `next` may have something to say. From the first call on it is kept up to date.
    int fileno();
    // End the stream and close its receivers. Heaps in the ring can still be taken.
    void stop();
    Statistics statistics();
    RingStatistics ring_statistics();

private:
    Wait step(Reader &reader) noexcept override;
    void take_heaps() override;
    void watch(const Receiver &receiver) override;
    void unwatch(const Receiver &receiver) noexcept override;
    void broke(const Error &error) override;
    void ended_now() override;

    void catch_up();
    Next take(std::vector<ReceivedHeap> &heaps, std::size_t most);
    void announce(bool some_left);
    void drive(std::size_t wanted);
    // Without the lock: to be relied on only by who is the only one to put in, or to take out.
    std::size_t ring_size() const noexcept { return ring_size_; }
    bool pause(Reader &reader);
    void resume();

    const std::size_t ring_heaps_;
    const bool contiguous_only_;
    // `ring_ready_` tells at once of heaps if so many come together at most; with the receive lock. Whoever limits it calls
    // `announce` later: what a caller brings for himself need not wake anybody.
    std::size_t announced_ = no_limit;

    std::mutex ring_mutex_;
    HeapRing ring_;
    std::atomic<std::size_t> ring_size_{0};
    std::vector<std::shared_ptr<Reader>> paused_;
    std::optional<Error> error_;
    std::uint64_t put_ = 0;
    std::size_t peak_ = 0;
    std::uint64_t worker_blocked_ = 0;
    std::atomic<bool> ended_{false};
    // How many wait for `ring_ready_`, which is left alone otherwise.
    std::size_t listeners_ = 0;
    bool exported_ = false;
    Event ring_ready_;

    // The ring's event, and the receivers that the caller drives: either kind of reader wakes whoever waits for a heap.
    Poller poller_;
    std::atomic<bool> caller_drives_{false};
};

}  // namespace spead
