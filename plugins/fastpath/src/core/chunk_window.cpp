#include "chunk_window.hpp"

#include <algorithm>
#include <cstring>

namespace spead {

WindowMember::WindowMember(std::shared_ptr<ChunkWindow> window, std::uint64_t stream_id, std::size_t max_chunks)
    : window_(std::move(window)), stream_id_(stream_id), max_chunks_(max_chunks) {}

void WindowMember::enter() {
    const std::lock_guard lock(window_->mutex_);
    works_ = true;
}

void WindowMember::pause() {
    const std::lock_guard lock(window_->mutex_);
    works_ = false;
    window_->comply(*this);
    window_->wake(window_->waiting_for_pause_, *this);
}

WindowMember::Find WindowMember::find(std::uint64_t chunk_id, OpenChunk *&chunk) {
    if (chunk_id < head_) return Find::too_old;
    // A chunk that this member has not passed is still there.
    if (last_ && last_id_ == chunk_id && !window_->overdue_.load(std::memory_order_relaxed)) {
        chunk = last_;
        return Find::found;
    }
    const std::lock_guard lock(window_->mutex_);
    if (chunk_id >= tail_) {
        tail_ = chunk_id + 1;
        head_ = std::max(head_, tail_ - std::min(tail_, max_chunks_));
        window_->wake(window_->waiting_for_progress_, *this);
    }
    const Find result = window_->find(*this, chunk_id, chunk);
    last_ = result == Find::found ? chunk : nullptr;
    last_id_ = chunk_id;
    return result;
}

void WindowMember::catch_up() {
    if (!window_->overdue_.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(window_->mutex_);
    window_->release_passed(*this);
}

void WindowMember::leave() {
    const ChunkRing::Waiter self = self_;  // for as long as the window is in use here
    const std::lock_guard lock(window_->mutex_);
    last_ = nullptr;
    self_ = nullptr;
    window_->leave(*this);
}

ChunkWindow::ChunkWindow(std::size_t max_chunks, std::shared_ptr<ChunkRing> data_ring, std::shared_ptr<ChunkRing> free_ring,
                         bool lossless)
    : max_chunks_(max_chunks), data_ring_(std::move(data_ring)), free_ring_(std::move(free_ring)), lossless_(lossless) {
    data_ring_->add_producer();
}

void ChunkWindow::join(const std::shared_ptr<WindowMember> &member) {
    const std::lock_guard lock(mutex_);
    member->index_ = joined_++;
    member->self_ = member;
    members_.push_back(member.get());
}

bool ChunkWindow::began() const {
    const std::lock_guard lock(mutex_);
    return began_;
}

// ----------------------------------------------------------------------------------------------- with the lock held

ChunkWindow::Find ChunkWindow::find(WindowMember &member, std::uint64_t chunk_id, OpenChunk *&chunk) {
    if (const Find result = release_passed(member); result != Find::found) return result;
    if (chunk_id >= tail_)
        if (const Find result = make_room(member, chunk_id); result != Find::found) return result;
    const std::uint64_t first = tail_ - chunks_.size();
    if (chunk_id < first) return Find::too_old;
    chunk = chunks_[chunk_id - first].get();
    return Find::found;
}

// Open chunks up to `chunk_id`, after the oldest have left.
ChunkWindow::Find ChunkWindow::make_room(WindowMember &member, std::uint64_t chunk_id) {
    const std::uint64_t first = chunk_id + 1 - std::min(chunk_id + 1, max_chunks_);
    const auto is_behind = [first](const WindowMember *other) { return other->head_ < first; };
    const auto works = [&](const WindowMember *other) { return is_behind(other) && other != &member && other->works_; };
    if (lossless_ && std::any_of(members_.begin(), members_.end(), is_behind)) {
        waiting_for_progress_.push_back(&member);
        return Find::blocked;
    }
    wanted_head_ = std::max(wanted_head_, first);
    if (std::any_of(members_.begin(), members_.end(), works)) {
        waiting_for_pause_.push_back(&member);
        return Find::blocked;
    }
    for (WindowMember *other : members_)
        if (is_behind(other)) comply(*other);
    if (const Find result = release_passed(member); result != Find::found) return result;
    tail_ = std::max(tail_, first);
    while (tail_ <= chunk_id) {
        Chunk chunk;
        switch (free_ring_->request(chunk, member.self_)) {
            case ChunkRing::Result::done: open(std::move(chunk), member); break;
            case ChunkRing::Result::refused: return Find::blocked;
            case ChunkRing::Result::stopped: return Find::stopped;
        }
    }
    return Find::found;
}

void ChunkWindow::open(Chunk &&chunk, const WindowMember &member) {
    began_ = true;
    chunk.id = tail_;
    chunk.stream_id = member.stream_id_;
    chunk.filled = true;
    if (!chunk.present.empty()) std::memset(chunk.present.data(), 0, chunk.present.size());
    chunks_.push_back(std::make_shared<OpenChunk>(std::move(chunk), joined_));
    tail_++;
}

// Give away the chunks that all members have passed: `found` if there are none left.
ChunkWindow::Find ChunkWindow::release_passed(WindowMember &member) {
    const std::uint64_t end = first_not_passed();
    overdue_.store(false, std::memory_order_relaxed);
    while (!chunks_.empty() && chunks_.front()->chunk.id < end) {
        OpenChunk &oldest = *chunks_.front();
        if (in_use(oldest, member)) {
            overdue_.store(true, std::memory_order_relaxed);
            waiting_for_pause_.push_back(&member);
            return Find::blocked;
        }
        switch (data_ring_->offer(oldest.chunk, member.self_)) {
            case ChunkRing::Result::done: break;
            case ChunkRing::Result::refused: overdue_.store(true, std::memory_order_relaxed); return Find::blocked;
            case ChunkRing::Result::stopped: return Find::stopped;
        }
        oldest.is_open = false;
        chunks_.pop_front();
    }
    return Find::found;
}

std::uint64_t ChunkWindow::first_not_passed() const {
    std::uint64_t first = UINT64_MAX;
    for (const WindowMember *member : members_) first = std::min(first, member->head_);
    return first;
}

// Whether another member that works may still write to a chunk that all have passed.
bool ChunkWindow::in_use(const OpenChunk &chunk, const WindowMember &member) const {
    return std::any_of(members_.begin(), members_.end(), [&](const WindowMember *other) {
        const OpenChunk::Share &share = chunk.shares[other->index_];
        return other != &member && other->works_ && !share.abandoned && share.tenants.load(std::memory_order_acquire) > 0;
    });
}

// A member that does not work does what others wait for.
void ChunkWindow::comply(WindowMember &member) {
    if (member.head_ < wanted_head_) {
        member.head_ = wanted_head_;
        member.tail_ = std::max(member.tail_, wanted_head_);
    }
    if (waiting_for_pause_.empty()) return;
    const std::uint64_t end = first_not_passed();
    for (const auto &chunk : chunks_)
        if (chunk->chunk.id < end) chunk->shares[member.index_].abandoned = true;
}

// All but `by` may look again.
void ChunkWindow::wake(std::vector<WindowMember *> &waiting, const WindowMember &by) {
    const auto own = std::partition(waiting.begin(), waiting.end(), [&by](const WindowMember *member) { return member == &by; });
    std::for_each(own, waiting.end(), [](WindowMember *member) { member->wake(); });
    waiting.erase(own, waiting.end());
}

void ChunkWindow::leave(WindowMember &member) {
    std::erase(members_, &member);
    for (const auto &ring : {data_ring_, free_ring_}) ring->forget(&member);
    for (auto *waiting : {&waiting_for_progress_, &waiting_for_pause_}) {
        std::erase(*waiting, &member);
        wake(*waiting, member);
    }
    if (!members_.empty()) {
        release_passed(*members_.front());  // if that is not possible now, the other members will see to it
        return;
    }
    std::vector<Chunk> last;
    for (const auto &open : chunks_) {
        open->is_open = false;
        last.push_back(std::move(open->chunk));
    }
    chunks_.clear();
    data_ring_->put_last(last);
    data_ring_->remove_producer();
}

}  // namespace spead
