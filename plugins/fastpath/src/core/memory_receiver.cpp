#include "memory_receiver.hpp"

#include <algorithm>
#include <utility>

#include "byte_order.hpp"
#include "packet_header.hpp"

namespace spead {

namespace {

// Bytes handed out at a time, and the heaps that they become, stay in the processor's caches until they are used.
constexpr std::size_t bytes_at_a_time = std::size_t{256} << 10;
// How many packets ahead a header is fetched: each tells where the next one is, so that the processor cannot foresee it.
constexpr std::size_t packets_ahead = 16;
// Bytes of a header that has few item pointers, which may lie in two of the cache's lines.
constexpr std::size_t usual_header = 8 * word_size;

}  // namespace

MemoryReceiver::MemoryReceiver(const std::uint8_t *data, std::size_t size, std::shared_ptr<void> owner)
    : owner_(std::move(owner)), at_(data), end_(data + size) {
    readable_.set();
}

std::size_t MemoryReceiver::try_recv(std::size_t limit, spead_batch &batch) {
    if (at_ == end_) fail(ErrorKind::end_of_stream, 0, "the end of the memory");
    slices_.clear();
    const std::uint8_t *enough = at_ + std::min(bytes_at_a_time, static_cast<std::size_t>(end_ - at_));
    while (at_ < enough && slices_.size() < limit) {
        std::size_t size = next_packet();
        const std::uint8_t *ahead = at_ + std::min(packets_ahead * size, static_cast<std::size_t>(end_ - at_));
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + usual_header);
        if (size == 0) {
            if (!slices_.empty()) break;
            size = static_cast<std::size_t>(end_ - at_);
        }
        slices_.push_back({at_, size});
        at_ += size;
    }
    packets_.resize(slices_.size());
    for (std::size_t i = 0; i < slices_.size(); i++) packets_[i] = {&slices_[i], 1, slices_[i].size};
    batch.packets = packets_.data();
    return packets_.size();
}

// Size of the packet that starts here, a word if none can, 0 if it is not all there.
std::size_t MemoryReceiver::next_packet() const noexcept {
    const auto left = static_cast<std::size_t>(end_ - at_);
    if (left < word_size) return 0;
    const std::uint64_t first = load_word(at_);
    const auto bits = static_cast<unsigned>(8 * (first >> 32 & 0xFF));
    if (bits < 8 || bits > 56 || first >> 32 != header_word(bits) >> 32) return word_size;
    const std::size_t count = first & max_pointers_per_packet;
    const std::size_t header = word_size * (1 + count);
    if (header > left) return 0;
    for (std::size_t i = count; i > 0; i--) {  // the last one counts
        const std::uint64_t pointer = load_word(at_ + word_size * i);
        if ((pointer & ~address_mask(bits)) != immediate(payload_length_id, bits)) continue;
        const std::uint64_t payload = pointer & address_mask(bits);
        return payload <= left - header ? header + static_cast<std::size_t>(payload) : 0;
    }
    return word_size;
}

}  // namespace spead
