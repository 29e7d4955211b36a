// Packets where they lie back to back: in memory, in a file, or on a connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "spead_transport.h"

namespace spead {

inline constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

// Append the complete packets of [at, end) to `packets`, `limit` at most; returns where the search ended. Bytes between packets
// are packets of 8 bytes (the last may be shorter), so that they are counted as rejected. The search ends at an incomplete
// packet, and at one of more than `max_packet_size` bytes.
const std::uint8_t *frame_packets(const std::uint8_t *at, const std::uint8_t *end, std::size_t limit, std::size_t max_packet_size,
                                  std::vector<spead_slice> &packets);

// Finds the packets in bytes that are read piece by piece. They stay where they were read to. Of a packet that is too large the
// first 8 bytes are handed out, to be counted as truncated, and the others skipped.
class PacketFramer {
public:
    explicit PacketFramer(std::size_t max_packet_size);

    // Where to read the next bytes to; never empty. The last packets are not valid any more.
    std::span<std::uint8_t> room();
    // Append the packets that are complete, now that `count` bytes were read into the room. Valid until `room` is called.
    void add(std::size_t count, std::vector<spead_slice> &packets);
    // Append what is left if no more bytes come: an incomplete packet, or nothing.
    void finish(std::vector<spead_slice> &packets);

private:
    void frame(std::vector<spead_slice> &packets);

    std::size_t max_packet_size_;
    std::size_t size_;
    std::unique_ptr<std::uint8_t[]> block_;
    // What was read and not handed out: the beginning of a packet.
    std::size_t start_ = 0;
    std::size_t end_ = 0;
    // How many bytes of a packet that is too large are still to come.
    std::size_t skip_ = 0;
};

}  // namespace spead
