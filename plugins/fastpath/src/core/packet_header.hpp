// Taking a packet's header apart, and the numbers of the protocol that this needs.
//
// A packet (specification section 4) is a header word, item pointers of 64 bits, and payload. The pointers that every
// packet has (heap cnt, heap length, payload offset, payload length) say which heap it belongs to, how long that is,
// and which part of it follows. Any bytes at all may come in here: nothing that a packet claims is believed unchecked.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rejection.hpp"

namespace spead {

inline constexpr std::size_t word_size = 8;
// Header word and the four pointers of every packet, in bytes.
inline constexpr std::size_t prefix_size = 5 * word_size;
// The header word counts item pointers in 16 bits.
inline constexpr std::size_t max_pointers_per_packet = 0xFFFF;

inline constexpr std::uint64_t immediate_flag = std::uint64_t{1} << 63;
inline constexpr std::uint64_t heap_cnt_id = 1;
inline constexpr std::uint64_t heap_length_id = 2;
inline constexpr std::uint64_t payload_offset_id = 3;
inline constexpr std::uint64_t payload_length_id = 4;
inline constexpr std::uint64_t stream_ctrl_id = 6;
inline constexpr std::uint64_t ctrl_stream_stop = 2;

// Header word of a packet without item pointers; their number is added to it.
constexpr std::uint64_t header_word(unsigned heap_address_bits) noexcept {
    const std::uint64_t address_bytes = heap_address_bits / 8;
    return std::uint64_t{0x53'04} << 48 | (word_size - address_bytes) << 40 | address_bytes << 32;
}

constexpr std::uint64_t immediate(std::uint64_t item_id, unsigned heap_address_bits) noexcept {
    return immediate_flag | item_id << heap_address_bits;
}

constexpr std::uint64_t address_mask(unsigned heap_address_bits) noexcept {
    return (std::uint64_t{1} << heap_address_bits) - 1;
}

// What a header says. Only `reason` is meaningful unless that is `none`.
struct PacketHeader {
    std::uint64_t heap_cnt;
    // In bytes; -1 if the packet does not say.
    std::int64_t heap_length;
    std::int64_t payload_offset;
    std::int64_t payload_size;
    // Where the item pointers start, big-endian and including the four that every packet has.
    const std::uint8_t *pointers;
    std::uint32_t num_pointers;
    // How many of them are others than the four.
    std::uint32_t num_others;
    std::uint8_t heap_address_bits;
    // Whether one of the pointers is the stop item.
    bool stops;
    // The four come first and in the usual order, each once.
    bool canonical;
    Rejection reason;

    std::size_t header_size() const noexcept { return word_size * (1 + std::size_t{num_pointers}); }
    std::int64_t payload_end() const noexcept { return payload_offset + payload_size; }
    bool is_other(std::uint64_t pointer) const noexcept;
};

// Take apart the header at `head` of a packet of `packet_size` bytes. The caller makes sure that the whole header lies there
// in one piece (see header_reach).
void decode_header(const std::uint8_t *head, std::size_t packet_size, PacketHeader &header) noexcept;

// How many bytes from the start of a packet its header needs in one piece for decode_header; no more than `packet_size`.
std::size_t header_reach(const std::uint8_t *head, std::size_t head_size, std::size_t packet_size) noexcept;

}  // namespace spead
