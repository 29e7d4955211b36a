// The parts of a heap's payload that have arrived, as disjoint ranges that do not touch each other.
//
// Packets that arrive in order extend one range; only what arrives out of order costs a search.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "received_heap.hpp"

namespace spead {

class RangeSet {
public:
    RangeSet() = default;
    RangeSet(const RangeSet &) = delete;  // last_ belongs to this object's map
    RangeSet &operator=(const RangeSet &) = delete;

    void clear() noexcept {
        ranges_.clear();
        last_ = ranges_.end();
    }

    // Whether a byte of [start, end) has arrived already.
    bool overlaps(std::int64_t start, std::int64_t end) const {
        auto next = ranges_.upper_bound(start);
        if (next != ranges_.begin() && std::prev(next)->second > start) return true;
        return next != ranges_.end() && next->first < end;
    }

    // [start, end), of which nothing had arrived, has arrived.
    void add(std::int64_t start, std::int64_t end) {
        if (start == end) return;
        if (last_ == ranges_.end() || last_->second != start) {
            auto next = ranges_.upper_bound(start);
            if (next == ranges_.begin() || std::prev(next)->second != start) {
                last_ = ranges_.emplace_hint(next, start, end);
                join_next();
                return;
            }
            last_ = std::prev(next);
        }
        last_->second = end;
        join_next();
    }

    std::vector<ByteRange> list() const { return {ranges_.begin(), ranges_.end()}; }

private:
    void join_next() {
        auto next = std::next(last_);
        if (next == ranges_.end() || next->first != last_->second) return;
        last_->second = next->second;
        ranges_.erase(next);
    }

    std::map<std::int64_t, std::int64_t> ranges_;
    std::map<std::int64_t, std::int64_t>::iterator last_ = ranges_.end();
};

}  // namespace spead
