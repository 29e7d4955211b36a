// A packet whose header was taken apart, and where its bytes are.
#pragma once

#include <cstddef>

#include "packet_header.hpp"
#include "spead_transport.h"

namespace spead {

struct DecodedPacket {
    PacketHeader header;
    const spead_slice *slices;
    std::size_t num_slices;

    std::size_t size() const noexcept { return header.header_size() + static_cast<std::size_t>(header.payload_size); }
};

}  // namespace spead
