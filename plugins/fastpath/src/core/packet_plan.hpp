// How a heap is cut into packets: the rules of spead_transport.protocol.packets.plan_packets.
//
// Pointers fill the first packets, each of which still has room for some payload, and payload the rest. A heap with too
// little payload for all its pointers is padded with zeros behind a NULL pointer, because every packet carries payload.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spead {

struct PacketPlan {
    // Throws std::invalid_argument if `max_packet_size` leaves no room, or the heap is too large for its addresses.
    PacketPlan(std::size_t num_pointers, std::uint64_t payload_size, unsigned heap_address_bits, std::size_t max_packet_size,
               bool repeat_pointers);

    // In bytes, a multiple of 8.
    std::size_t max_packet_size;
    // Of the heap, padding included.
    std::uint64_t payload_size;
    // Zero bytes at the end of the payload; announced by a NULL pointer if there are any.
    std::uint64_t padding;
    // Item pointers of the heap, the NULL pointer included.
    std::size_t num_pointers;
    // How many of them fit in one packet at most; all of them if they are repeated.
    std::size_t pointers_per_packet;
    bool repeat_pointers;
    std::size_t num_packets;
};

}  // namespace spead
