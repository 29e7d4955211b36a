// A heap that left the assembler, complete or given up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "segment.hpp"

namespace spead {

// Item pointers in the machine's byte order. The few that most heaps have need no allocation.
class PointerList {
public:
    PointerList() noexcept {}  // leaves few_ alone
    void push_back(std::uint64_t pointer) {
        if (size_ < few_.size()) {
            few_[size_] = pointer;
        } else {
            if (!many_) many_ = std::make_unique<std::vector<std::uint64_t>>(few_.begin(), few_.end());
            many_->push_back(pointer);
        }
        size_++;
    }
    void clear() noexcept {
        size_ = 0;
        many_.reset();
    }
    std::size_t size() const noexcept { return size_; }
    std::span<const std::uint64_t> view() const noexcept {
        return many_ ? std::span<const std::uint64_t>(*many_) : std::span(few_.data(), size_);
    }

private:
    std::array<std::uint64_t, 5> few_;
    std::size_t size_ = 0;
    // All of them if they are more than a few.
    std::unique_ptr<std::vector<std::uint64_t>> many_;
};

// Bytes [first, second) of a heap's payload.
using ByteRange = std::pair<std::int64_t, std::int64_t>;

struct ReceivedHeap {
    ReceivedHeap() noexcept {}  // without it, all would be set to zero first

    std::uint64_t cnt = 0;
    std::uint8_t heap_address_bits = 0;
    // Whether the payload is all there; `memory` is meaningful only then.
    bool complete = false;
    // In bytes; -1 if no packet said.
    std::int64_t length = -1;
    std::int64_t received = 0;
    PointerList pointers;
    // Keeps [payload, payload + length) alive.
    SegmentRef memory;
    std::uint8_t *payload = nullptr;
    // Of an incomplete heap, if they were to be kept.
    std::vector<ByteRange> ranges;
};

}  // namespace spead
