#include "memory_sender.hpp"

#include <algorithm>
#include <utility>

#include "copy.hpp"
#include "segment.hpp"

namespace spead {

namespace {

constexpr std::size_t smallest_block = std::size_t{1} << 12;
// What is larger than this, in bytes, gets a block that is much larger than it: what is not written to costs nothing but
// addresses, whereas what was written is moved when its block is too small.
constexpr std::size_t large = std::size_t{1} << 20;
constexpr std::size_t large_block = std::size_t{1} << 26;
// malloc(3) takes more than that from the system each time, and gives it back; less is used again (M_MMAP_THRESHOLD,
// mallopt(3)).
constexpr std::size_t surely_mapped = std::size_t{32} << 20;

std::size_t capacity_for(std::size_t size) {
    return size <= large ? std::max(4 * size, smallest_block) : std::max(2 * size, large_block);
}

}  // namespace

// There is a page fault for each page of memory that comes from the system.
void MemorySender::Memory::prepare(std::span<std::uint8_t> block) noexcept {
    if (block.size() > surely_mapped) prefer_huge_pages(block);
}

MemorySender::MemorySender(std::unique_ptr<Memory> memory) : SenderBase(1), memory_(std::move(memory)) {
    writable_.set();  // there is always room
}

std::size_t MemorySender::try_send(const spead_batch &batch) {
    const std::lock_guard lock(mutex_);
    std::size_t size = 0;
    for (std::size_t i = 0; i < batch.num_packets; i++) size += batch.packets[i].size;
    make_room(size);
    for (std::size_t i = 0; i < batch.num_packets; i++) {
        const spead_packet &packet = batch.packets[i];
        for (std::size_t s = 0; s < packet.num_slices; s++) {
            const spead_slice &slice = packet.slices[s];
            copy_bytes(block_ + size_, static_cast<const std::uint8_t *>(slice.data), slice.size, CopyMethod::standard);
            size_ += slice.size;
        }
    }
    return batch.num_packets;
}

// For so many bytes more.
void MemorySender::make_room(std::size_t size) {
    if (size <= capacity_ - size_) return;
    const std::size_t capacity = capacity_for(size_ + size);
    block_ = memory_->grow(size_, capacity);
    capacity_ = capacity;
}

}  // namespace spead
