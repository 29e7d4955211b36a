#include "packet_framer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "byte_order.hpp"
#include "packet_header.hpp"

namespace spead {

namespace {

// Bytes read at a time at most, which stay in the processor's cache.
constexpr std::size_t block_bytes = std::size_t{1} << 18;
// Of the header word, what a packet is recognised by.
constexpr std::ptrdiff_t recognised = 4;
// Of headers that claim a packet too large for the reader, those that claim more than this are junk, in bytes.
constexpr std::size_t plausible = std::size_t{1} << 30;
constexpr std::uint8_t magic = 0x53;
constexpr std::uint8_t version = 4;

// Size of the packet that starts here, 0 if none can, no_limit if its header is not all there. Its header is not larger than
// `max_packet_size`; the packet may be.
std::size_t packet_size(const std::uint8_t *at, std::size_t left, std::size_t max_packet_size) noexcept {
    const std::uint64_t first = load_word(at);
    const auto bits = static_cast<unsigned>(8 * (first >> 32 & 0xFF));
    if (bits < 8 || bits > 56 || first >> 32 != header_word(bits) >> 32) return 0;
    const std::size_t count = first & max_pointers_per_packet;
    const std::size_t header = word_size * (1 + count);
    if (header > max_packet_size) return 0;
    if (header > left) return no_limit;
    const std::uint64_t wanted = immediate(payload_length_id, bits);
    const auto payload_in = [&](std::size_t index, std::uint64_t &payload) {
        const std::uint64_t pointer = load_word(at + word_size * index);
        payload = pointer & address_mask(bits);
        return (pointer & ~address_mask(bits)) == wanted;
    };
    std::uint64_t payload = 0;
    std::size_t index = count;
    while (index > 0 && !payload_in(index, payload)) index--;  // the last one counts
    return index > 0 && payload <= std::max(max_packet_size, plausible) - header ? header + static_cast<std::size_t>(payload) : 0;
}

// Whether what is there of the bytes looks like a packet's first ones.
bool looks_like_packet(const std::uint8_t *at, const std::uint8_t *end) noexcept {
    const auto has = [&](std::ptrdiff_t index) { return index < end - at; };
    if (at[0] != magic) return false;
    if (has(1) && at[1] != version) return false;
    if (has(2) && (at[2] < 1 || at[2] > 7)) return false;
    return !has(3) || at[2] + at[3] == word_size;
}

const std::uint8_t *next_packet(const std::uint8_t *at, const std::uint8_t *end) noexcept {
    while (at < end) {
        at = static_cast<const std::uint8_t *>(std::memchr(at, magic, static_cast<std::size_t>(end - at)));
        if (!at) return end;
        if (looks_like_packet(at, end)) return at;
        at++;
    }
    return end;
}

}  // namespace

const std::uint8_t *frame_packets(const std::uint8_t *at, const std::uint8_t *end, std::size_t limit, std::size_t max_packet_size,
                                  std::vector<spead_slice> &packets) {
    while (limit > 0 && end - at >= static_cast<std::ptrdiff_t>(word_size)) {
        const auto left = static_cast<std::size_t>(end - at);
        std::size_t size = packet_size(at, left, max_packet_size);
        if (size > left || size > max_packet_size) break;
        std::size_t count = 1;
        if (size == 0) {
            const std::uint8_t *next = next_packet(at + 1, end);
            const auto junk = static_cast<std::size_t>(next - at);
            if (junk < word_size && end - next < recognised) break;
            size = std::min(junk, word_size);
            count = std::min(limit, junk / size);
        }
        limit -= count;
        for (; count > 0; count--) packets.push_back({std::exchange(at, at + size), size});
    }
    return at;
}

PacketFramer::PacketFramer(std::size_t max_packet_size)
    : max_packet_size_(max_packet_size),
      size_(block_bytes),
      block_(std::make_unique_for_overwrite<std::uint8_t[]>(size_)) {}

std::span<std::uint8_t> PacketFramer::room() {
    const std::size_t waiting = end_ - start_;
    if (waiting == 0) start_ = end_ = 0;
    if (end_ > size_ / 2) {
        if (waiting > size_ / 2) {
            // The packet needs a larger block: as its bytes come, not as it claims.
            auto larger = std::make_unique_for_overwrite<std::uint8_t[]>(2 * size_);
            std::memcpy(larger.get(), block_.get() + start_, waiting);
            block_ = std::move(larger);
            size_ *= 2;
        } else {
            std::memmove(block_.get(), block_.get() + start_, waiting);
        }
        start_ = 0;
        end_ = waiting;
    }
    return {block_.get() + end_, std::min(size_ - end_, block_bytes)};
}

void PacketFramer::add(std::size_t count, std::vector<spead_slice> &packets) {
    end_ += count;
    frame(packets);
    while (end_ - start_ >= word_size) {
        const std::uint8_t *at = block_.get() + start_;
        const std::size_t size = packet_size(at, end_ - start_, max_packet_size_);
        if (size == no_limit || size <= max_packet_size_) break;
        // Too large. It has to be skipped as a whole: descriptors within its payload are packets, too, and would be taken for
        // some.
        packets.push_back({at, word_size});
        skip_ = size;
        frame(packets);
    }
}

// Skip what is to be skipped, and go on to the next packet that is incomplete or too large.
void PacketFramer::frame(std::vector<spead_slice> &packets) {
    const std::size_t skipped = std::min(skip_, end_ - start_);
    start_ += skipped;
    skip_ -= skipped;
    const std::uint8_t *data = block_.get();
    start_ = static_cast<std::size_t>(frame_packets(data + start_, data + end_, no_limit, max_packet_size_, packets) - data);
}

void PacketFramer::finish(std::vector<spead_slice> &packets) {
    if (end_ > start_) packets.push_back({block_.get() + start_, end_ - start_});
    start_ = end_;
}

}  // namespace spead
