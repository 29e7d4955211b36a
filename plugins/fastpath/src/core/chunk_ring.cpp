#include "chunk_ring.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace spead {

namespace {

void tell(const std::vector<ChunkRing::Waiter> &waiters) noexcept {
    for (const auto &waiter : waiters) waiter->wake();
}

void move_to(std::vector<ChunkRing::Waiter> &target, std::vector<ChunkRing::Waiter> &from) {
    std::move(from.begin(), from.end(), std::back_inserter(target));
    from.clear();
}

}  // namespace

std::size_t ChunkRing::size() const {
    const std::lock_guard lock(mutex_);
    return chunks_.size();
}

ChunkRingStatistics ChunkRing::statistics() const {
    const std::lock_guard lock(mutex_);
    ChunkRingStatistics result = statistics_;
    result.waiting = chunks_.size();
    return result;
}

ChunkRing::Result ChunkRing::put(Chunk &chunk) { return offer(chunk, nullptr); }

ChunkRing::Result ChunkRing::offer(Chunk &chunk, const Waiter &waiter) {
    Waiters told;
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return Result::stopped;
        if (chunks_.size() >= max_size_) {
            if (waiter) {
                statistics_.full++;
                waiting_for_space_.push_back(waiter);
            }
            return Result::refused;
        }
        push(std::move(chunk), told);
    }
    has_data_.set();
    tell(told);
    return Result::done;
}

ChunkRing::Result ChunkRing::take(Chunk &chunk) { return request(chunk, nullptr); }

ChunkRing::Result ChunkRing::request(Chunk &chunk, const Waiter &waiter) {
    Waiters told;
    {
        const std::lock_guard lock(mutex_);
        if (chunks_.empty()) {
            if (stopped_) return Result::stopped;
            has_data_.clear();  // it may have been set for a chunk that was taken before that
            if (waiter) {
                statistics_.empty++;
                waiting_for_data_.push_back(waiter);
            }
            return Result::refused;
        }
        pop(chunk, told);
    }
    tell(told);
    return Result::done;
}

void ChunkRing::forget(const RingWaiter *waiter) {
    Waiters forgotten;
    const std::lock_guard lock(mutex_);
    for (Waiters *waiting : {&waiting_for_space_, &waiting_for_data_}) {
        const auto first = std::stable_partition(waiting->begin(), waiting->end(),
                                                 [waiter](const Waiter &other) { return other.get() != waiter; });
        std::move(first, waiting->end(), std::back_inserter(forgotten));
        waiting->erase(first, waiting->end());
    }
}

void ChunkRing::put_last(std::vector<Chunk> &chunks) {
    Waiters told;
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        for (Chunk &chunk : chunks) push(std::move(chunk), told);
        if (chunks.empty()) return;
        chunks.clear();
    }
    has_data_.set();
    tell(told);
}

bool ChunkRing::stop() {
    Waiters told;
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return false;
        stop(told);
    }
    tell(told);
    return true;
}

void ChunkRing::add_producer() {
    const std::lock_guard lock(mutex_);
    producers_++;
}

bool ChunkRing::remove_producer() {
    Waiters told;
    {
        const std::lock_guard lock(mutex_);
        if (producers_ == 0 || --producers_ > 0 || stopped_) return false;
        stop(told);
    }
    tell(told);
    return true;
}

void ChunkRing::clear() {
    std::deque<Chunk> dropped;
    const std::lock_guard lock(mutex_);
    dropped.swap(chunks_);
}

// ----------------------------------------------------------------------------------------------- with the lock held

void ChunkRing::push(Chunk &&chunk, Waiters &told) {
    chunks_.push_back(std::move(chunk));
    statistics_.put++;
    statistics_.peak = std::max<std::uint64_t>(statistics_.peak, chunks_.size());
    if (chunks_.size() >= max_size_) has_space_.clear();
    move_to(told, waiting_for_data_);
}

void ChunkRing::pop(Chunk &chunk, Waiters &told) {
    std::swap(chunk, chunks_.front());
    chunks_.pop_front();
    statistics_.taken++;
    if (chunks_.empty() && !stopped_) has_data_.clear();
    if (chunks_.size() >= max_size_) return;
    has_space_.set();
    move_to(told, waiting_for_space_);
}

void ChunkRing::stop(Waiters &told) {
    stopped_ = true;
    has_data_.set();
    has_space_.set();
    move_to(told, waiting_for_space_);
    move_to(told, waiting_for_data_);
}

}  // namespace spead
