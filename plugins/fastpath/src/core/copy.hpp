// Copying payload.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace spead {

enum class CopyMethod : std::uint8_t {
    standard,
    // Past the processor's caches, for heaps that are not looked at soon.
    nontemporal,
};

// Get memory into the processor's caches that is about to be written to: it need not be anybody's.
[[gnu::always_inline]] inline void fetch_to_write(const std::uint8_t *data, std::size_t size) noexcept {
    constexpr std::size_t cache_line = 64;
    constexpr std::size_t most = 2048;  // the processor foresees the rest itself
    for (std::size_t at = 0; at < std::min(size, most); at += cache_line) __builtin_prefetch(data + at, 1);
}

void copy_bytes(std::uint8_t *target, const std::uint8_t *source, std::size_t size, CopyMethod method) noexcept;
// To be called after one or more copies, before others are told of them: stores past the caches are not ordered with others.
void finish_copies(CopyMethod method) noexcept;

}  // namespace spead
