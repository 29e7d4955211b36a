#include "memory_sender.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "copy.hpp"

namespace spead {

namespace {

// Pieces grow with what they follow, from the first size to the last, in bytes. The last is too small for huge pages, which
// the system takes long to clear: much of what is kept here is memory that nobody used before.
constexpr std::size_t smallest_piece = std::size_t{1} << 12;
constexpr std::size_t largest_piece = std::size_t{1} << 20;
constexpr std::size_t core_cache = std::size_t{1} << 20;
// malloc(3) takes more than that from the system each time, and gives it back; less is used again (M_MMAP_THRESHOLD,
// mallopt(3)).
constexpr std::size_t surely_mapped = std::size_t{32} << 20;

}  // namespace

MemorySender::MemorySender() : SenderBase(1) {
    writable_.set();  // there is always room
}

std::vector<MemorySender::Piece> MemorySender::pieces() const {
    const std::lock_guard lock(mutex_);
    return pieces_;
}

void MemorySender::join(std::span<const Piece> pieces, std::span<std::uint8_t> target) noexcept {
    if (target.size() > surely_mapped) prefer_huge_pages(target);
    // What does not fit in a core's cache would only drive out of it what is yet to be copied.
    const CopyMethod method = target.size() > core_cache ? CopyMethod::nontemporal : CopyMethod::standard;
    std::uint8_t *at = target.data();
    for (const Piece &piece : pieces) {
        copy_bytes(at, piece.memory.data(), piece.size, method);
        at += piece.size;
    }
    finish_copies(method);
}

std::size_t MemorySender::try_send(const spead_batch &batch) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < batch.num_packets; i++) {
        const spead_packet &packet = batch.packets[i];
        for (std::size_t s = 0; s < packet.num_slices; s++)
            append(static_cast<const std::uint8_t *>(packet.slices[s].data), packet.slices[s].size);
    }
    return batch.num_packets;
}

void MemorySender::append(const std::uint8_t *data, std::size_t size) {
    while (size > 0) {
        if (pieces_.empty() || pieces_.back().size == pieces_.back().memory.size()) add_piece();
        Piece &last = pieces_.back();
        const std::size_t part = std::min(size, last.memory.size() - last.size);
        std::memcpy(last.memory.data() + last.size, data, part);
        last.size += part;
        data += part;
        size -= part;
    }
}

void MemorySender::add_piece() {
    const std::size_t before = pieces_.empty() ? 0 : pieces_.back().size;
    SegmentRef memory = SegmentPool::shared().allocate(std::clamp(2 * before, smallest_piece, largest_piece));
    if (!memory) throw std::bad_alloc();
    pieces_.push_back({std::move(memory), 0});
}

}  // namespace spead
