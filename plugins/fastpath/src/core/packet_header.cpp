#include "packet_header.hpp"

#include <algorithm>

#include "byte_order.hpp"

namespace spead {

namespace {

// The rarer case: pointers in any order, repeated (the last one counts) or missing.
void decode_pointers(PacketHeader &header, std::uint64_t &found) noexcept {
    const unsigned bits = header.heap_address_bits;
    const std::uint64_t mask = address_mask(bits);
    const std::uint64_t stop = immediate(stream_ctrl_id, bits) | ctrl_stream_stop;
    for (std::uint32_t i = 0; i < header.num_pointers; i++) {
        const std::uint64_t pointer = load_word(header.pointers + word_size * i);
        const std::uint64_t key = pointer & ~mask;
        const auto value = static_cast<std::int64_t>(pointer & mask);
        if (key == immediate(heap_cnt_id, bits)) {
            header.heap_cnt = pointer & mask;
            found |= 1;
        } else if (key == immediate(heap_length_id, bits)) {
            header.heap_length = value;
        } else if (key == immediate(payload_offset_id, bits)) {
            header.payload_offset = value;
            found |= 2;
        } else if (key == immediate(payload_length_id, bits)) {
            header.payload_size = value;
            found |= 4;
        } else {
            header.num_others++;
            header.stops |= pointer == stop;
        }
    }
}

// What nearly every packet looks like; false if this one does not.
bool decode_canonical(PacketHeader &header) noexcept {
    if (header.num_pointers < 4) return false;
    const unsigned bits = header.heap_address_bits;
    const std::uint64_t mask = address_mask(bits);
    const std::uint64_t cnt = load_word(header.pointers);
    const std::uint64_t length = load_word(header.pointers + word_size);
    const std::uint64_t offset = load_word(header.pointers + 2 * word_size);
    const std::uint64_t size = load_word(header.pointers + 3 * word_size);
    const bool usual = (cnt & ~mask) == immediate(heap_cnt_id, bits) && (length & ~mask) == immediate(heap_length_id, bits) &&
                       (offset & ~mask) == immediate(payload_offset_id, bits) &&
                       (size & ~mask) == immediate(payload_length_id, bits);
    if (!usual) return false;
    const std::uint64_t stop = immediate(stream_ctrl_id, bits) | ctrl_stream_stop;
    for (std::uint32_t i = 4; i < header.num_pointers; i++) {
        const std::uint64_t pointer = load_word(header.pointers + word_size * i);
        if (!header.is_other(pointer)) return false;
        header.stops |= pointer == stop;
    }
    header.heap_cnt = cnt & mask;
    header.heap_length = static_cast<std::int64_t>(length & mask);
    header.payload_offset = static_cast<std::int64_t>(offset & mask);
    header.payload_size = static_cast<std::int64_t>(size & mask);
    header.num_others = header.num_pointers - 4;
    return true;
}

// Take the header apart, and say what is wrong with it.
Rejection check_header(const std::uint8_t *head, std::size_t packet_size, PacketHeader &header) noexcept {
    if (packet_size < word_size) return Rejection::truncated;
    const std::uint64_t first = load_word(head);
    const std::uint64_t address_bytes = first >> 32 & 0xFF;
    if (first >> 56 != 0x53) return Rejection::magic;
    if ((first >> 48 & 0xFF) != 4) return Rejection::version;
    if (address_bytes < 1 || address_bytes > 7 || (first >> 40 & 0xFF) + address_bytes != word_size) return Rejection::flavour;
    header.heap_length = -1;
    header.heap_address_bits = static_cast<std::uint8_t>(8 * address_bytes);
    header.num_pointers = static_cast<std::uint32_t>(first & max_pointers_per_packet);
    header.pointers = head + word_size;
    if (header.header_size() > packet_size) return Rejection::truncated;
    header.canonical = decode_canonical(header);
    if (!header.canonical) {
        std::uint64_t found = 0;
        header.stops = false;
        decode_pointers(header, found);
        if (found != 7) return Rejection::missing_item;
    }
    if (static_cast<std::uint64_t>(header.payload_size) != packet_size - header.header_size()) return Rejection::size_mismatch;
    if (header.heap_length >= 0 && header.payload_end() > header.heap_length) return Rejection::out_of_bounds;
    return Rejection::none;
}

}  // namespace

bool PacketHeader::is_other(std::uint64_t pointer) const noexcept {
    const std::uint64_t id = pointer >> heap_address_bits;
    const std::uint64_t flag = immediate_flag >> heap_address_bits;
    return id < (flag | heap_cnt_id) || id > (flag | payload_length_id);
}

std::size_t header_reach(const std::uint8_t *head, std::size_t head_size, std::size_t packet_size) noexcept {
    if (head_size < word_size) return std::min(word_size, packet_size);
    const std::size_t announced = word_size + word_size * (load_word(head) & max_pointers_per_packet);
    return std::min(announced, packet_size);
}

void decode_header(const std::uint8_t *head, std::size_t packet_size, PacketHeader &header) noexcept {
    header = {};
    header.reason = check_header(head, packet_size, header);
}

}  // namespace spead
