#include "receive_runner.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <utility>

namespace spead {

namespace {

// Batches taken in on behalf of one call that wants a heap, before it looks at its time limit again.
constexpr int rounds = 1000;

// Limits a number that is not limited otherwise, during its life.
class Limited {
public:
    Limited(std::size_t &number, std::size_t limit) noexcept : number_(number) { number_ = limit; }
    ~Limited() { number_ = no_limit; }
    Limited(const Limited &) = delete;
    Limited &operator=(const Limited &) = delete;

private:
    std::size_t &number_;
};

}  // namespace

ReceiveRunner::ReceiveRunner(const ReceiveConfig &config, std::shared_ptr<HeapAllocator> allocator, Log log)
    : Readers(config.assembler, std::move(allocator), config.explicit_start, config.end_with_any, std::move(log)),
      ring_heaps_(config.ring_heaps),
      contiguous_only_(config.contiguous_only) {
    poller_.add(ring_ready_.fileno());
}

ReceiveRunner::~ReceiveRunner() {
    ReceiveLock lock(receive_mutex_);
    close_readers();
    tell(std::move(lock));
}

ReceiveRunner::Next ReceiveRunner::next(std::vector<ReceivedHeap> &heaps, std::size_t most) {
    Next result = ring_size() > 0 || ended_ ? take(heaps, most) : Next::empty;
    if (result == Next::empty && caller_drives_) {
        ReceiveLock lock(receive_mutex_);
        expire();
        {
            const Limited unannounced(announced_, 0);
            drive(1);
        }
        tell(std::move(lock));
        result = take(heaps, most);
        announce(heaps.size() > 1);
    }
    return result;
}

void ReceiveRunner::use_up() {
    if (!ring_ready_.is_set()) return;
    const std::lock_guard lock(ring_mutex_);
    if (ring_.empty() && !ended_) ring_ready_.clear();
}

void ReceiveRunner::put_back(std::span<ReceivedHeap> heaps) {
    const std::lock_guard lock(ring_mutex_);
    ring_.put_back(heaps);
    ring_size_ = ring_.size();
    if (ring_.empty() && !ended_)
        ring_ready_.clear();
    else if (listeners_ > 0 || exported_)
        ring_ready_.set();
}

Waited ReceiveRunner::wait(double seconds) {
    {
        const std::lock_guard lock(ring_mutex_);
        if (!ring_.empty() || ended_) return Waited::ready;
        listeners_++;
    }
    const Waited result = wait_readable(poller_.fileno(), seconds);
    const std::lock_guard lock(ring_mutex_);
    listeners_--;
    if (listeners_ == 0 && !exported_) ring_ready_.clear();
    return result;
}

int ReceiveRunner::fileno() {
    const std::lock_guard lock(ring_mutex_);
    exported_ = true;
    if (!ring_.empty() || ended_) ring_ready_.set();
    return poller_.fileno();
}

void ReceiveRunner::stop() {
    ReceiveLock lock(receive_mutex_);
    catch_up();
    end();
    tell(std::move(lock));
}

Statistics ReceiveRunner::statistics() {
    ReceiveLock lock(receive_mutex_);
    catch_up();
    Statistics result = count();
    {
        const std::lock_guard ring_lock(ring_mutex_);
        result.worker_blocked += worker_blocked_;
    }
    tell(std::move(lock));
    return result;
}

RingStatistics ReceiveRunner::ring_statistics() {
    ReceiveLock lock(receive_mutex_);
    catch_up();
    tell(std::move(lock));
    const std::lock_guard ring_lock(ring_mutex_);
    const std::uint64_t waiting = ring_.size();
    return {.put = put_, .taken = put_ - waiting, .waiting = waiting, .peak = peak_, .full = worker_blocked_};
}

// For a worker: take in what is there, but not so much that others have to wait, and unless the ring is full.
Wait ReceiveRunner::step(Reader &reader) noexcept {
    ReceiveLock lock(receive_mutex_);
    if (reader.ended) return Paused{};
    expire();
    if (pause(reader)) {
        tell(std::move(lock));
        return Paused{};
    }
    {
        // A large heap is worth waking somebody; of small ones, more are coming.
        const Limited single(announced_, 1);
        for (int round = 0; round < rounds_of_a_worker; round++)
            if (!receive(reader) || reader.ended || ring_size() >= ring_heaps_) break;
    }
    announce(false);
    const Wait result = wait_for(reader);
    tell(std::move(lock));
    return result;
}

// ---------------------------------------------------------------------------------------------------------- the ring

ReceiveRunner::Next ReceiveRunner::take(std::vector<ReceivedHeap> &heaps, std::size_t most) {
    std::vector<std::shared_ptr<Reader>> resumed;
    {
        const std::lock_guard lock(ring_mutex_);
        if (ring_.empty()) {
            if (!ended_) return Next::empty;
            if (!error_) return Next::stopped;
            const Error error = *std::exchange(error_, std::nullopt);
            throw TransportException(error);
        }
        ring_.take(heaps, most);
        ring_size_ = ring_.size();
        if (ring_.size() <= ring_heaps_ / 2) resumed.swap(paused_);
    }
    for (const auto &reader : resumed) reader->kick();
    return Next::heap;
}

void ReceiveRunner::take_heaps() {
    if (contiguous_only_) std::erase_if(assembled_, [](const ReceivedHeap &heap) { return !heap.complete; });
    if (assembled_.empty()) return;
    const bool announces = assembled_.size() <= announced_;
    bool wake;
    {
        const std::lock_guard lock(ring_mutex_);
        put_ += assembled_.size();
        ring_.push(assembled_);
        ring_size_ = ring_.size();
        peak_ = std::max(peak_, ring_.size());
        // A loop that watches the descriptor must not be told of heaps that were taken meanwhile.
        if (announces && exported_) ring_ready_.set();
        wake = announces && listeners_ > 0;
    }
    if (wake) ring_ready_.set();  // whom it wakes wants the lock at once
}

// Make good for not telling that heaps came, unless they were all taken; `some_left` if the caller still has some.
void ReceiveRunner::announce(bool some_left) {
    if (!some_left && ring_size() == 0) return;
    const std::lock_guard lock(ring_mutex_);
    if ((some_left || !ring_.empty()) && (listeners_ > 0 || exported_)) ring_ready_.set();
}

// Whether the ring is full, and the reader therefore set aside.
bool ReceiveRunner::pause(Reader &reader) {
    const std::lock_guard lock(ring_mutex_);
    if (ring_.size() < ring_heaps_) return false;
    auto self = reader.shared_from_this();
    if (std::ranges::find(paused_, self) == paused_.end()) {
        worker_blocked_++;
        paused_.push_back(std::move(self));
    }
    return true;
}

void ReceiveRunner::resume() {
    std::vector<std::shared_ptr<Reader>> resumed;
    {
        const std::lock_guard lock(ring_mutex_);
        resumed.swap(paused_);
    }
    for (const auto &reader : resumed) reader->kick();
}

// ---------------------------------------------------------------------------------------- with the receive lock held

void ReceiveRunner::watch(const Receiver &receiver) {
    poller_.add(receiver.fileno());
    caller_drives_ = true;
}

void ReceiveRunner::unwatch(const Receiver &receiver) noexcept { poller_.remove(receiver.fileno()); }

// Bring the readers that the caller drives to where a worker would have brought them.
void ReceiveRunner::catch_up() {
    drive(ring_heaps_);
    for (const auto &reader : readers_) {
        if (!reader->worker && wait_readable(reader->receiver.fileno(), 0) == Waited::ready) pause(*reader);
    }
}

// Drive the readers that have no worker until the ring holds `wanted` heaps or nothing comes. All have their turn before
// that is looked at, as long as there is room: of many readers, the first ones would be asked anew for each heap otherwise.
void ReceiveRunner::drive(std::size_t wanted) {
    if (!started()) return;
    for (int round = 0; round < rounds; round++) {
        bool came = false;
        const auto readers = readers_;  // those that end leave
        for (const auto &reader : readers) {
            if (!reader->worker && !reader->ended && ring_size() < ring_heaps_) came |= receive(*reader);
        }
        if (!came || ring_size() >= wanted) return;
    }
}

void ReceiveRunner::broke(const Error &error) {
    const std::lock_guard lock(ring_mutex_);
    error_ = error;
}

void ReceiveRunner::ended_now() {
    {
        const std::lock_guard lock(ring_mutex_);
        ended_ = true;
        ring_ready_.set();
    }
    resume();
}

}  // namespace spead
