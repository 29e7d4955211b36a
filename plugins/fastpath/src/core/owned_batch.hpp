// Packets in memory of their own: copied once, in as few blocks as possible, so that a receiver can adopt the payload.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "segment.hpp"
#include "spead_transport.h"

namespace spead {

class OwnedBatch {
public:
    OwnedBatch() = default;
    // Copies of the first `count` packets of `batch`: all first slices in one segment, all others in another one, which is
    // left empty if it would be tiny. Throws std::bad_alloc if there is no memory.
    OwnedBatch(const spead_batch &batch, std::size_t count);

    std::size_t num_packets() const noexcept { return num_packets_; }
    std::size_t num_bytes() const noexcept { return num_bytes_; }
    spead_batch view() const noexcept;
    // Copies of this object are used by others: they must not keep the payload for good, nor write to it.
    void share() noexcept { shared_ = true; }
    bool shared() const noexcept { return shared_; }
    // The segment that holds all first slices, and the one that holds all others (empty if there are none).
    const SegmentRef &records() const noexcept { return records_; }
    const SegmentRef &bodies() const noexcept { return bodies_; }

private:
    // Packets, slices and first slices, in this order.
    SegmentRef records_;
    // The other slices.
    SegmentRef bodies_;
    std::size_t num_packets_ = 0;
    std::size_t num_bytes_ = 0;
    bool shared_ = false;
};

}  // namespace spead
