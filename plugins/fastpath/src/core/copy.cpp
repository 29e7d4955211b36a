#include "copy.hpp"

#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace spead {

// Sanitizers do not see what an instruction copies.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
const bool has_fast_move = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned fast_short_rep_mov = 1U << 4;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & fast_short_rep_mov) != 0;
}();
#else
const bool has_fast_move = false;
#endif

namespace {

#ifdef __SSE2__
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
#endif

void copy(std::uint8_t *target, const std::uint8_t *source, std::size_t size) noexcept {
#ifdef __x86_64__
    if (moves_fast(size)) {
        asm volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
        return;
    }
#endif
    std::memcpy(target, source, size);
}

}  // namespace

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
    copy(target, source, size);
}

}  // namespace spead
