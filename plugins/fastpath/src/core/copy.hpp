// Copying payload.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spead {

enum class CopyMethod : std::uint8_t {
    standard,
    // Past the processor's caches, for heaps that are not looked at soon.
    nontemporal,
};

void copy_bytes(std::uint8_t *target, const std::uint8_t *source, std::size_t size, CopyMethod method) noexcept;

}  // namespace spead
