#include "memory_carver.hpp"

#include <algorithm>

namespace spead {

namespace {

constexpr std::size_t segment_size = std::size_t{32} << 10;
// Pieces do not share a cache line.
constexpr std::size_t unit = 64;

}  // namespace

SegmentRef MemoryCarver::carve(std::size_t size, std::uint8_t *&data) {
    const std::size_t needed = (std::max<std::size_t>(size, 1) + unit - 1) / unit * unit;
    if (!segment_ || segment_size - used_ < needed) {
        give_up();
        // One for each piece, however small they are, and one for this object.
        references_ = segment_size / unit + 1;
        segment_ = pool_.allocate(segment_size, references_);
        if (!segment_) return {};
        used_ = 0;
    }
    data = segment_->data + used_;
    used_ += needed;
    references_--;
    return SegmentRef::take(segment_);
}

void MemoryCarver::give_up() noexcept {
    if (segment_) SegmentPool::release(segment_, references_);
    segment_ = nullptr;
}

}  // namespace spead
