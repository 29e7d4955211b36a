// Packets in memory on their way from any number of senders to any number of receivers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"
#include "owned_batch.hpp"

namespace spead {

// A number of packets and their size in bytes.
struct Tally {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;

    void add(const OwnedBatch &batch) noexcept {
        packets += batch.num_packets();
        bytes += batch.num_bytes();
    }
    void remove(const OwnedBatch &batch) noexcept {
        packets -= batch.num_packets();
        bytes -= batch.num_bytes();
    }
};

struct QueueStatistics {
    Tally in;
    Tally out;
    // What waits now, and the most that ever waited.
    Tally waiting;
    Tally peak;
    // What a receiver left behind that had a copy of its own.
    Tally discarded;
};

// Unbounded: takes everything at once and keeps it until somebody receives it. Every method may be called from any thread.
class PacketQueue {
public:
    // Packets on their way to one receiver, or to all that share them.
    struct Lane {
        std::deque<OwnedBatch> batches;
        std::vector<Event *> readers;
    };

    // With `fanout` each receiver gets all packets; else they share them. What comes while there is no receiver waits for the
    // first one.
    explicit PacketQueue(bool fanout = false) : fanout_(fanout) { lanes_.emplace_back(); }

    // Throws TransportException if the queue was stopped.
    void push(OwnedBatch batch);
    // Take no more packets; receivers get those that wait, and then the end.
    void stop() noexcept;
    // No more senders are expected: the first receiver that finds nothing left stops the queue. Can be taken back.
    void set_ending(bool ending) noexcept;

    bool stopped() const noexcept;
    QueueStatistics statistics() const noexcept;

    // `readable` is set whenever there may be something to take from the lane, until it unsubscribes, and cleared by `pop`.
    Lane &subscribe(Event &readable);
    void unsubscribe(Lane &lane, Event &readable) noexcept;
    // The next batch; none if there is none now, and `readable` is cleared. Throws TransportException with end_of_stream if the
    // queue was stopped and the lane is empty.
    std::optional<OwnedBatch> pop(Lane &lane, Event &readable);

private:
    void wake_all() noexcept;

    mutable std::mutex mutex_;
    const bool fanout_;
    // Held exclusively, after `mutex_`, by whoever changes which lanes and readers there are: to look at them, either will do.
    std::shared_mutex readers_mutex_;
    // At least one.
    std::list<Lane> lanes_;
    QueueStatistics statistics_;
    bool stopped_ = false;
    bool ending_ = false;
};

// One receiver's access to a queue.
class QueueReader {
public:
    explicit QueueReader(std::shared_ptr<PacketQueue> queue) : queue_(std::move(queue)), lane_(&queue_->subscribe(readable_)) {}
    ~QueueReader() { close(); }
    QueueReader(const QueueReader &) = delete;
    QueueReader &operator=(const QueueReader &) = delete;

    // Polls readable when `pop` may have something to say, and once it was closed.
    int fileno() const noexcept { return readable_.fileno(); }
    // As PacketQueue::pop. Not once it was closed.
    std::optional<OwnedBatch> pop() { return queue_->pop(*lane_, readable_); }
    void close() noexcept;

private:
    std::shared_ptr<PacketQueue> queue_;
    Event readable_;
    PacketQueue::Lane *lane_;
};

class QueueSender final : public SenderBase {
public:
    explicit QueueSender(std::vector<std::shared_ptr<PacketQueue>> queues);

protected:
    std::size_t try_send(const spead_batch &batch) override;
    int fileno() const noexcept override { return writable_.fileno(); }
    void release() noexcept override {}

private:
    std::vector<std::shared_ptr<PacketQueue>> queues_;
    Event writable_;
};

// Takes packets from each queue in turn if there are several, and ends when all of them have ended.
class QueueReceiver final : public ReceiverBase {
public:
    // Throws std::system_error if the system is out of file descriptors.
    explicit QueueReceiver(std::vector<std::shared_ptr<QueueReader>> readers);

protected:
    std::size_t try_recv(std::size_t limit, spead_batch &batch) override;
    int fileno() const noexcept override { return poller_ ? poller_->fileno() : readers_.front()->fileno(); }
    void release_batch() noexcept override { current_ = {}; }
    void release() noexcept override;

private:
    std::vector<std::shared_ptr<QueueReader>> readers_;
    std::size_t turn_ = 0;
    OwnedBatch current_;
    // Of all readers, if there are several.
    std::optional<Poller> poller_;
};

}  // namespace spead
