// Moves packets from receivers through the assembler into a ring of heaps.
//
// Two locks, taken in this order. `receive_mutex_` guards the readers and the assembler; a worker holds it while it takes in
// a batch. `ring_mutex_` guards the ring, and is only ever held for moments, so that whoever wants a heap that is there
// gets it at once. Neither is held while waiting, nor while writing to the log.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"
#include "heap_assembler.hpp"
#include "workers.hpp"

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

class ReceiveRunner final : public std::enable_shared_from_this<ReceiveRunner> {
public:
    // Something for the log: a warning, or an error. No lock is held.
    using Log = std::function<void(bool is_error, const std::string &)>;
    enum class Next { heap, empty, stopped };

    ReceiveRunner(const ReceiveConfig &config, std::shared_ptr<HeapAllocator> allocator, Log log);
    ~ReceiveRunner();

    // Receive from `receiver` too: `worker` drains it, or if there is none, whoever asks for heaps. The receiver is closed if
    // the stream has ended. Throws std::logic_error if it comes too late (explicit_start); the receiver is then not closed.
    void add_reader(Receiver receiver, std::shared_ptr<Worker> worker);
    void start();
    // The next heap, if there is one; the callers' readers are driven until there is. Throws TransportException, once,
    // if a reader broke.
    Next next(ReceivedHeap &heap);
    // Up to `most` heaps that are there: appended to `heaps`. As next otherwise.
    Next next(std::vector<ReceivedHeap> &heaps, std::size_t most);
    // Heaps that were taken and not used are the next ones again.
    void put_back(std::span<ReceivedHeap> heaps);
    // Wait until `next` may have something to say; negative `seconds` wait for ever.
    Waited wait(double seconds);
    // Polls readable when `next` may have something to say. From the first call on it is kept up to date.
    int fileno();
    // End the stream and close its receivers. Heaps in the ring can still be taken.
    void stop();
    Statistics statistics();
    std::map<std::string, std::uint64_t> drops();
    // How many heaps are in the ring.
    std::size_t waiting();

private:
    class Reader;
    using ReceiveLock = std::unique_lock<std::mutex>;

    Wait step(Reader &reader) noexcept;
    void start_reader(const std::shared_ptr<Reader> &reader);
    Next pop(std::vector<ReceivedHeap> &heaps, std::size_t most);
    void catch_up();
    void drive(std::size_t wanted);
    bool receive(Reader &reader) noexcept;
    void push(std::vector<ReceivedHeap> &heaps);
    std::size_t ring_size();
    bool pause(Reader &reader);
    void resume();
    static void kick(const std::vector<std::shared_ptr<Reader>> &readers);
    void reader_broke(Reader &reader, const Error &error);
    void end_reader(Reader &reader);
    void close_reader(std::shared_ptr<Reader> reader);
    void close_readers();
    void end();
    std::map<std::string, std::uint64_t> count_drops() const;
    void tell(ReceiveLock lock);

    const ReceiveConfig config_;
    const Log log_;

    std::mutex receive_mutex_;
    HeapAssembler assembler_;
    std::vector<std::shared_ptr<Reader>> readers_;
    // Of readers that ended.
    std::map<std::string, std::uint64_t> ended_drops_;
    std::vector<ReceivedHeap> assembled_;
    // To be told when the lock is given up.
    std::vector<std::string> errors_;
    std::vector<std::shared_ptr<Reader>> closed_readers_;
    bool started_;
    bool closed_ = false;

    std::mutex ring_mutex_;
    std::deque<ReceivedHeap> ring_;
    std::vector<std::shared_ptr<Reader>> paused_;
    std::optional<Error> error_;
    std::uint64_t worker_blocked_ = 0;
    bool ended_ = false;
    // How many wait for `ring_ready_`, which is left alone otherwise.
    std::size_t listeners_ = 0;
    bool exported_ = false;
    Event ring_ready_;

    // The ring's event, and the receivers that the caller drives: either kind of reader wakes whoever waits for a heap.
    Poller poller_;
    std::atomic<bool> caller_drives_{false};
};

}  // namespace spead
