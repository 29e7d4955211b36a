#include "receive_runner.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace spead {

namespace {

// Batches taken in on behalf of one call that wants a heap, before it looks at its time limit again.
constexpr int rounds = 1000;

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

ReceiveRunner::Next ReceiveRunner::next(ReceivedHeap &heap) {
    std::vector<ReceivedHeap> heaps;
    const Next result = next(heaps, 1);
    if (result == Next::heap) heap = std::move(heaps.front());
    return result;
}

ReceiveRunner::Next ReceiveRunner::next(std::vector<ReceivedHeap> &heaps, std::size_t most) {
    Next result = pop(heaps, most);
    if (result == Next::empty && caller_drives_) {
        ReceiveLock lock(receive_mutex_);
        expire();
        drive(1);
        tell(std::move(lock));
        result = pop(heaps, most);
    }
    return result;
}

void ReceiveRunner::put_back(std::span<ReceivedHeap> heaps) {
    if (heaps.empty()) return;
    const std::lock_guard lock(ring_mutex_);
    ring_.insert(ring_.begin(), std::make_move_iterator(heaps.begin()), std::make_move_iterator(heaps.end()));
    if (listeners_ > 0 || exported_) ring_ready_.set();
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

// For a worker: take in a batch, unless the ring is full.
Wait ReceiveRunner::step(Reader &reader) noexcept {
    ReceiveLock lock(receive_mutex_);
    if (reader.ended) return Paused{};
    expire();
    if (pause(reader)) {
        tell(std::move(lock));
        return Paused{};
    }
    receive(reader);
    const Wait result = wait_for(reader);
    tell(std::move(lock));
    return result;
}

// ---------------------------------------------------------------------------------------------------------- the ring

ReceiveRunner::Next ReceiveRunner::pop(std::vector<ReceivedHeap> &heaps, std::size_t most) {
    std::vector<std::shared_ptr<Reader>> resumed;
    {
        const std::lock_guard lock(ring_mutex_);
        if (ring_.empty()) {
            if (!ended_) return Next::empty;
            if (!error_) return Next::stopped;
            const Error error = *std::exchange(error_, std::nullopt);
            throw TransportException(error);
        }
        for (; most > 0 && !ring_.empty(); most--) {
            heaps.push_back(std::move(ring_.front()));
            ring_.pop_front();
        }
        if (ring_.empty() && !ended_) ring_ready_.clear();
        if (ring_.size() <= ring_heaps_ / 2) resumed.swap(paused_);
    }
    for (const auto &reader : resumed) reader->kick();
    return Next::heap;
}

void ReceiveRunner::take_heaps() {
    if (contiguous_only_) std::erase_if(assembled_, [](const ReceivedHeap &heap) { return !heap.complete; });
    if (assembled_.empty()) return;
    const std::lock_guard lock(ring_mutex_);
    for (ReceivedHeap &heap : assembled_) ring_.push_back(std::move(heap));
    put_ += assembled_.size();
    peak_ = std::max(peak_, ring_.size());
    assembled_.clear();
    if (listeners_ > 0 || exported_) ring_ready_.set();
}

std::size_t ReceiveRunner::ring_size() {
    const std::lock_guard lock(ring_mutex_);
    return ring_.size();
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

// Drive the readers that have no worker until the ring holds `wanted` heaps or nothing comes.
void ReceiveRunner::drive(std::size_t wanted) {
    if (!started()) return;
    for (int round = 0; round < rounds; round++) {
        bool came = false;
        const auto readers = readers_;  // those that end leave
        for (const auto &reader : readers) {
            if (!reader->worker && !reader->ended && ring_size() < wanted) came |= receive(*reader);
        }
        if (!came) return;
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
