// Heaps that wait for the user, first in, first out. They come and go in batches, which change hands as they are if they can.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <span>
#include <vector>

#include "received_heap.hpp"

namespace spead {

class HeapRing {
public:
    bool empty() const noexcept { return first_ == heaps_.size(); }
    std::size_t size() const noexcept { return heaps_.size() - first_; }

    // Take all of `heaps`, of which nothing but memory is left.
    void push(std::vector<ReceivedHeap> &heaps) {
        drop_taken();
        if (heaps_.empty())
            heaps_.swap(heaps);
        else
            heaps_.insert(heaps_.end(), std::make_move_iterator(heaps.begin()), std::make_move_iterator(heaps.end()));
        heaps.clear();
    }

    // Append up to `most` of them to `heaps`.
    void take(std::vector<ReceivedHeap> &heaps, std::size_t most) {
        if (first_ == 0 && heaps.empty() && most >= size()) {
            heaps_.swap(heaps);
            return;
        }
        const auto first = heaps_.begin() + static_cast<std::ptrdiff_t>(first_);
        const std::size_t count = std::min(most, size());
        heaps.insert(heaps.end(), std::make_move_iterator(first),
                     std::make_move_iterator(first + static_cast<std::ptrdiff_t>(count)));
        first_ += count;
        if (empty()) drop_taken();
    }

    // Heaps that were taken are the next ones again.
    void put_back(std::span<ReceivedHeap> heaps) {
        drop_taken();
        heaps_.insert(heaps_.begin(), std::make_move_iterator(heaps.begin()), std::make_move_iterator(heaps.end()));
    }

private:
    void drop_taken() {
        heaps_.erase(heaps_.begin(), heaps_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
    }

    std::vector<ReceivedHeap> heaps_;
    // Where those that wait begin.
    std::size_t first_ = 0;
};

}  // namespace spead
