// Packets in memory on their way from any number of senders to any number of receivers, which share them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
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
};

struct QueueStatistics {
    Tally in;
    Tally out;
    // The most that ever waited.
    Tally peak;
};

// Unbounded: takes everything at once and keeps it until somebody receives it. Every method may be called from any thread.
class PacketQueue {
public:
    // Throws TransportException if the queue was stopped.
    void push(OwnedBatch batch);
    // The next batch; none if there is none now. Throws TransportException with end_of_stream if the queue was stopped and
    // is empty.
    std::optional<OwnedBatch> pop();
    // Take no more packets; receivers get those that wait, and then the end.
    void stop() noexcept;
    // No more senders are expected: the first receiver that finds nothing left stops the queue. Can be taken back.
    void set_ending(bool ending) noexcept;

    bool stopped() const noexcept;
    QueueStatistics statistics() const noexcept;

    // `readable` is set whenever there may be something to take, until it unsubscribes, and cleared by `pop_or_clear`.
    void subscribe(Event &readable);
    void unsubscribe(Event &readable) noexcept;
    // As pop; clears `readable` if there is nothing.
    std::optional<OwnedBatch> pop_or_clear(Event &readable);

private:
    std::optional<OwnedBatch> take();
    void wake_all() noexcept;

    mutable std::mutex mutex_;
    std::deque<OwnedBatch> batches_;
    std::vector<Event *> readers_;
    QueueStatistics statistics_;
    bool stopped_ = false;
    bool ending_ = false;
};

// One receiver's access to a queue.
class QueueReader {
public:
    explicit QueueReader(std::shared_ptr<PacketQueue> queue) : queue_(std::move(queue)) { queue_->subscribe(readable_); }
    ~QueueReader() { queue_->unsubscribe(readable_); }
    QueueReader(const QueueReader &) = delete;
    QueueReader &operator=(const QueueReader &) = delete;

    // Polls readable when `pop` may have something to say.
    int fileno() const noexcept { return readable_.fileno(); }
    // As PacketQueue::pop.
    std::optional<OwnedBatch> pop() { return queue_->pop_or_clear(readable_); }

private:
    std::shared_ptr<PacketQueue> queue_;
    Event readable_;
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
    explicit QueueReceiver(std::vector<std::shared_ptr<PacketQueue>> queues);
    ~QueueReceiver() override;

protected:
    std::size_t try_recv(std::size_t limit, spead_batch &batch) override;
    int fileno() const noexcept override { return readable_.fileno(); }
    void release_batch() noexcept override { current_ = {}; }
    void release() noexcept override;

private:
    void unsubscribe() noexcept;

    std::vector<std::shared_ptr<PacketQueue>> queues_;
    std::size_t turn_ = 0;
    OwnedBatch current_;
    Event readable_;
    bool subscribed_ = true;
};

}  // namespace spead
