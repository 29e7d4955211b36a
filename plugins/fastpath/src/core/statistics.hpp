// What a receiving stream counts: the names of spead_transport.engine.stats.
#pragma once

#include <array>
#include <cstdint>

#include "rejection.hpp"

namespace spead {

struct Statistics {
    std::uint64_t heaps = 0;
    std::uint64_t incomplete_heaps_evicted = 0;
    std::uint64_t incomplete_heaps_flushed = 0;
    std::uint64_t packets = 0;
    std::uint64_t batches = 0;
    std::uint64_t max_batch = 0;
    std::uint64_t single_packet_heaps = 0;
    std::uint64_t search_dist = 0;
    std::uint64_t worker_blocked = 0;
    std::uint64_t heaps_discarded = 0;
    std::uint64_t transport_drops = 0;
    std::array<std::uint64_t, num_rejections> rejected{};
};

}  // namespace spead
