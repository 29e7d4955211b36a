// Copying payload.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "spead_transport.h"

namespace spead {

enum class CopyMethod : std::uint8_t {
    standard,
    // Past the processor's caches, for heaps that are not looked at soon.
    nontemporal,
};

// Whether the processor has an instruction that copies memory of any size fast ("fast short rep mov").
extern const bool has_fast_move;

// Whether so many bytes are copied by it. It knows at its start how much it will copy, and fetches all of that at once; a loop
// waits until the processor foresees where it is going, anew for each of the packets that a payload is cut into. But it takes
// longer to start.
[[gnu::always_inline]] inline bool moves_fast(std::size_t size) noexcept {
    constexpr std::size_t worth_it = 1280;
    return size >= worth_it && has_fast_move;
}

// Have bytes brought into the processor's caches that are copied soon, by a loop. (GCC takes a call of a function that only
// does this for useless.)
[[gnu::always_inline]] inline void fetch_ahead(const spead_slice &bytes) noexcept {
    if (moves_fast(bytes.size)) return;
    constexpr std::size_t cache_line = 64;
    constexpr std::size_t most = 9000;
    const auto *data = static_cast<const char *>(bytes.data);
    for (std::size_t at = 0; at < std::min(bytes.size, most); at += cache_line) __builtin_prefetch(data + at);
}

// Get memory into the processor's caches that is about to be written to: it need not be anybody's.
[[gnu::always_inline]] inline void fetch_to_write(const std::uint8_t *data, std::size_t size) noexcept {
    constexpr std::size_t cache_line = 64;
    constexpr std::size_t most = 2048;  // the processor foresees the rest itself
    for (std::size_t at = 0; at < std::min(size, most); at += cache_line) __builtin_prefetch(data + at, 1);
}

void copy_bytes(std::uint8_t *target, const std::uint8_t *source, std::size_t size, CopyMethod method) noexcept;

}  // namespace spead
