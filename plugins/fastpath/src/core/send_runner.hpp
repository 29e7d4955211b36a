// Moves packets from the encoder to a sender: in the caller, and where that would have to wait, in a worker.
//
// A queue of groups. Whoever drives it holds the lock, and sends from its front until he would have to wait. Nobody holds
// the lock while waiting, or while telling that a group is finished.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"
#include "heap_encoder.hpp"
#include "notices.hpp"
#include "pacer.hpp"
#include "workers.hpp"

namespace spead {

struct SendConfig {
    EncoderConfig encoder;
    std::size_t max_heaps = 4;
    double burst_rate_ratio = 1.05;
};

// What became of the heaps that a runner was given.
struct SendStatistics {
    std::uint64_t heaps_sent = 0;
    // Headers included; of failed heaps, too.
    std::uint64_t bytes_sent = 0;
    std::uint64_t heaps_failed = 0;
    // Because `max_heaps` were waiting.
    std::uint64_t heaps_refused = 0;
    std::uint64_t heaps_waiting = 0;
    // The most that ever waited, refused ones included.
    std::uint64_t peak_waiting = 0;
};

// Heaps that were handed over together. Whoever derives from it keeps their memory valid: the runner lets go of a group when it
// is finished.
class SendGroup {
public:
    SendGroup(std::vector<OutgoingHeap> heaps, GroupMode mode) : heaps_(std::move(heaps)), mode_(mode) {}

    bool done() const noexcept { return done_.load(std::memory_order_acquire); }
    // Once it is done: bytes sent, headers included, and what went wrong if anything did.
    std::uint64_t bytes() const noexcept { return bytes_; }
    const std::optional<Error> &error() const noexcept { return error_; }

private:
    friend class SendRunner;

    std::vector<OutgoingHeap> heaps_;
    GroupMode mode_;
    std::optional<GroupEncoder> encoder_;
    // Nobody waits for it in `drive`: tell when it is finished.
    bool submitted_ = false;
    std::uint64_t bytes_ = 0;
    std::optional<Error> error_;
    std::atomic<bool> done_{false};
};

using SendGroups = std::vector<std::shared_ptr<SendGroup>>;

class SendRunner final : public Task, public std::enable_shared_from_this<SendRunner> {
public:
    struct Callbacks {
        // Submitted groups are finished. No lock is held.
        std::function<void(SendGroups)> finished;
        // Something for the log, as a warning. No lock is held.
        std::function<void(const std::vector<std::string> &)> log;
    };

    SendRunner(Sender sender, const SendConfig &config, Callbacks callbacks);
    ~SendRunner() override;

    // Put a group in the queue, and send without waiting: whether the group is done, or `drive` must be called. Throws
    // TransportException with closed or queue_full, std::invalid_argument as PacketPlan.
    bool begin(const std::shared_ptr<SendGroup> &group);
    // Send until the group is done (`ready`), `deadline` (of monotonic_time; negative is never), or a signal.
    Waited drive(const SendGroup &group, double deadline);
    // What was not sent of the group is not sent.
    void abandon(const std::shared_ptr<SendGroup> &group);
    // Send a group as far as it goes without waiting, and from the worker thereafter: false if there is none, and
    // drive_with must be called. Throws nothing that happens while sending: that is told with the group.
    bool submit(const std::shared_ptr<SendGroup> &group);
    // From now on `worker` drives what has to wait. `keep` is kept as long as this object: it keeps the worker running.
    void drive_with(std::shared_ptr<Worker> worker, std::shared_ptr<void> keep);
    // Wait until everything is sent or failed; negative `seconds` wait for ever.
    Waited flush(double seconds);
    // Close the sender. What is still waiting fails.
    void close();
    SendStatistics statistics() const;

    Wait step() noexcept override;

private:
    using Lock = std::unique_lock<std::mutex>;

    void add(const std::shared_ptr<SendGroup> &group);
    std::optional<Wait> pump() noexcept;
    std::optional<Wait> send_some(SendGroup &group);
    bool next_batch(SendGroup &group);
    void fail_front(Error error);
    void retire(const std::shared_ptr<SendGroup> &group, std::optional<Error> error);
    void finish(const std::shared_ptr<SendGroup> &group, std::optional<Error> error);
    bool drive_in_background();
    void tell(Lock lock);
    Waited block(const Wait &wait, double deadline);

    Sender sender_;
    const SendConfig config_;
    const Callbacks callbacks_;
    mutable std::mutex mutex_;
    std::deque<std::shared_ptr<SendGroup>> groups_;
    // Its number of waiting heaps is that of the queue.
    SendStatistics statistics_;
    Pacer pacer_;
    // Whether anything had a rate so far; the clock is not looked at before.
    bool paced_ = false;
    // Whether there was nothing to send before the first group, which the pacer is still to be told.
    bool starting_ = false;
    Notices notices_;
    // Of the first group: packets, and how many of them are sent.
    OutgoingBatch batch_;
    std::size_t batch_sent_ = 0;
    SendGroups finished_;
    std::shared_ptr<void> kept_;
    std::shared_ptr<Worker> worker_;
    // Whether the worker drives the queue until it is empty.
    bool driven_ = false;
    bool closed_ = false;
    // Someone must not go on: makes long pumping end soon.
    std::atomic<bool> closing_{false};
    Event closing_event_;
    std::size_t flushing_ = 0;
    Event idle_;
};

}  // namespace spead
