#include "packet_plan.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "packet_header.hpp"

namespace spead {

namespace {

// Each packet has room for at least this much payload, in bytes.
constexpr std::size_t min_payload = word_size;

constexpr std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

std::size_t count_packets(const PacketPlan &plan) {
    const std::size_t capacity = plan.max_packet_size - prefix_size;
    if (plan.repeat_pointers)
        return std::max<std::size_t>(1, divide_up(plan.payload_size, capacity - word_size * plan.num_pointers));
    const std::size_t leading = divide_up(plan.num_pointers, plan.pointers_per_packet);
    const std::uint64_t taken = leading * capacity - word_size * plan.num_pointers;
    return leading + (plan.payload_size > taken ? divide_up(plan.payload_size - taken, capacity) : 0);
}

}  // namespace

PacketPlan::PacketPlan(std::size_t pointers, std::uint64_t payload, unsigned heap_address_bits, std::size_t packet_size,
                       bool repeat)
    : max_packet_size(packet_size - packet_size % word_size), repeat_pointers(repeat) {
    const std::size_t words = max_packet_size / word_size;
    const std::size_t overhead = (prefix_size + min_payload) / word_size;
    const std::size_t room = std::min(words > overhead ? words - overhead : 0, max_pointers_per_packet - 4);
    if (room < 1 || (repeat && pointers + 1 > room)) {
        const std::size_t need = prefix_size + min_payload + word_size * (repeat ? pointers + 1 : 1);
        throw std::invalid_argument("packet size is too small: " + std::to_string(max_packet_size) +
                                    " bytes, this heap needs at least " + std::to_string(need));
    }
    const std::uint64_t required = repeat ? 1 : min_payload * (divide_up(pointers + 1, room) - 1) + 1;
    padding = required > payload ? required - payload : 0;
    payload_size = payload + padding;
    if (payload_size >> heap_address_bits)
        throw std::invalid_argument("a heap of " + std::to_string(payload_size) + " bytes is too large for " +
                                    std::to_string(heap_address_bits) + "-bit addresses");
    num_pointers = pointers + (padding > 0);
    pointers_per_packet = repeat ? num_pointers : room;
    num_packets = count_packets(*this);
}

}  // namespace spead
