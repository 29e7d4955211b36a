#include "copy.hpp"

#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace spead {

namespace {

// Of the processor's caches, in bytes.
constexpr std::size_t line = 64;
// How far before what is copied bytes are fetched. They are what will be copied next, since packets mostly lie one behind the
// other; if they are not, no harm is done.
constexpr std::size_t ahead = 8 << 10;
// From here on memcpy is at least as fast.
constexpr std::size_t long_copy = 4 << 10;
// The most that it is asked for at a time: from about the size of a core's cache on, glibc (2.36, on processors of AMD) copies in
// another way, which is slower.
constexpr std::size_t longest_copy = 256 << 10;

// By itself the processor fetches ahead only once it has seen where a copy is going, anew for each packet.
void copy(std::uint8_t *target, const std::uint8_t *source, std::size_t size) noexcept {
    if (size < long_copy) {
        for (; size >= line; size -= line) {
            __builtin_prefetch(source + ahead);
            std::memcpy(target, source, line);
            target += line;
            source += line;
        }
    }
    for (; size > longest_copy; size -= longest_copy) {
        std::memcpy(target, source, longest_copy);
        target += longest_copy;
        source += longest_copy;
    }
    std::memcpy(target, source, size);
}

#ifdef __SSE2__
void copy_nontemporal(std::uint8_t *target, const std::uint8_t *source, std::size_t size) noexcept {
    const std::size_t lead = std::min(size, (line - reinterpret_cast<std::uintptr_t>(target) % line) % line);
    std::memcpy(target, source, lead);
    std::size_t at = lead;
    for (; at + line <= size; at += line) {
        __builtin_prefetch(source + at + ahead);
        for (std::size_t i = at; i < at + line; i += sizeof(__m128i))
            _mm_stream_si128(reinterpret_cast<__m128i *>(target + i), _mm_loadu_si128(reinterpret_cast<const __m128i *>(source + i)));
    }
    std::memcpy(target + at, source + at, size - at);
}
#endif

}  // namespace

void copy_bytes(std::uint8_t *target, const std::uint8_t *source, std::size_t size, CopyMethod method) noexcept {
    if (size == 0) return;
#ifdef __SSE2__
    if (method == CopyMethod::nontemporal) {
        copy_nontemporal(target, source, size);
        return;
    }
#else
    (void)method;
#endif
    copy(target, source, size);
}

void finish_copies(CopyMethod method) noexcept {
#ifdef __SSE2__
    if (method == CopyMethod::nontemporal) _mm_sfence();
#else
    (void)method;
#endif
}

}  // namespace spead
