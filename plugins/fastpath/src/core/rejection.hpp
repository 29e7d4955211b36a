// Why a packet that arrived is not used: the numbers and names of spead_transport.protocol.rejection.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace spead {

enum class Rejection : std::uint8_t {
    none,
    truncated,
    magic,
    version,
    flavour,
    missing_item,
    size_mismatch,
    out_of_bounds,
    too_large,
    unsized,
    flavour_changed,
    length_changed,
    out_of_order,
    duplicate,
    no_memory,
    stopped,
};

inline constexpr std::array<std::string_view, 16> rejection_names = {
    "none",    "truncated",       "magic",          "version",      "flavour",   "missing item", "size mismatch", "out of bounds",
    "too large", "unsized", "flavour changed", "length changed", "out of order", "duplicate", "no memory",    "stopped",
};

inline constexpr std::size_t num_rejections = rejection_names.size();

}  // namespace spead
