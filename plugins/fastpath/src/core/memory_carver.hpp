// Memory for small heaps: pieces of one segment, so that a heap costs neither a lock nor memory that another processor
// has written to. Used by one caller at a time; the pieces may be released anywhere.
//
// Each heap keeps the whole segment, which is therefore small; and whoever looks at such a heap's payload gets a copy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "segment.hpp"

namespace spead {

class MemoryCarver {
public:
    static constexpr std::size_t largest_piece = 2048;

    explicit MemoryCarver(SegmentPool &pool) noexcept : pool_(pool) {}
    ~MemoryCarver() { give_up(); }
    MemoryCarver(const MemoryCarver &) = delete;
    MemoryCarver &operator=(const MemoryCarver &) = delete;

    // At least `size` bytes at `data`, where `size` is no more than `largest_piece`, and what keeps them; empty if there is
    // no memory.
    SegmentRef carve(std::size_t size, std::uint8_t *&data);

    // Whether memory that has `size` bytes of a heap is likely to have other heaps, too.
    static bool is_piece(const SegmentRef &memory, std::size_t size) noexcept {
        return size <= largest_piece && memory && memory.size() > 2 * size;
    }

private:
    void give_up() noexcept;

    SegmentPool &pool_;
    spead_segment *segment_ = nullptr;
    std::size_t used_ = 0;
    // References that are not handed out yet. They are all made at the start, when nobody else counts.
    std::size_t references_ = 0;
};

}  // namespace spead
