#include "copy.hpp"

#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace spead {

#ifdef __SSE2__
namespace {

void copy_nontemporal(std::uint8_t *target, const std::uint8_t *source, std::size_t size) noexcept {
    constexpr std::size_t vector = sizeof(__m128i);
    const std::size_t lead = (vector - reinterpret_cast<std::uintptr_t>(target) % vector) % vector;
    std::memcpy(target, source, lead);
    std::size_t at = lead;
    for (; at + vector <= size; at += vector)
        _mm_stream_si128(reinterpret_cast<__m128i *>(target + at),
                         _mm_loadu_si128(reinterpret_cast<const __m128i *>(source + at)));
    std::memcpy(target + at, source + at, size - at);
    _mm_sfence();  // streaming stores are not ordered with the store that hands the heap over
}

}  // namespace
#endif

void copy_bytes(std::uint8_t *target, const std::uint8_t *source, std::size_t size, CopyMethod method) noexcept {
    if (size == 0) return;
#ifdef __SSE2__
    if (method == CopyMethod::nontemporal && size >= 64) {
        copy_nontemporal(target, source, size);
        return;
    }
#else
    (void)method;
#endif
    std::memcpy(target, source, size);
}

}  // namespace spead
