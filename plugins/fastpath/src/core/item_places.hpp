// Where the items of a heap lie: spead_transport.protocol.places, for heaps with few items.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace spead {

struct ItemPlaces {
    // Item id, and where the item starts and ends in the payload, in bytes.
    struct Addressed {
        std::uint64_t id;
        std::size_t start;
        std::size_t end;
    };
    // Item id and value.
    struct Immediate {
        std::uint64_t id;
        std::uint64_t value;
    };
    std::vector<Addressed> addressed;
    std::vector<Immediate> immediate;
};

// More are not for find_items, whose work grows with the square of their number.
inline constexpr std::size_t few_pointers = 64;

// Find the items of a heap from its item pointers, which are in the machine's byte order. False if an item starts beyond the
// end of the payload, or the pointers are not few.
bool find_items(std::span<const std::uint64_t> pointers, unsigned heap_address_bits, std::size_t payload_size,
                ItemPlaces &places);

}  // namespace spead
