// Words of packets: big-endian on the wire.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace spead {

inline std::uint64_t swap_if_little(std::uint64_t word) noexcept {
    if constexpr (std::endian::native == std::endian::little)
        return __builtin_bswap64(word);
    else
        return word;
}

inline std::uint64_t load_word(const std::uint8_t *at) noexcept {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return swap_if_little(word);
}

// An unsigned number of up to eight bytes.
inline std::uint64_t load_number(const std::uint8_t *at, std::size_t size) noexcept {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < size; i++) number = number << 8 | at[i];
    return number;
}

inline void store_word(std::uint8_t *at, std::uint64_t word) noexcept {
    word = swap_if_little(word);
    std::memcpy(at, &word, sizeof word);
}

}  // namespace spead
