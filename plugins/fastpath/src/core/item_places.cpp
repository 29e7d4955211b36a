#include "item_places.hpp"

#include <algorithm>
#include <array>

#include "packet_header.hpp"

namespace spead {

namespace {

class Ordered {
public:
    explicit Ordered(std::uint64_t key_mask) noexcept : key_mask_(key_mask) {}

    // Behind those with the same key; not at all if it is there already.
    void insert(std::uint64_t word) noexcept {
        const auto end = words_.begin() + static_cast<std::ptrdiff_t>(size_);
        if (std::find(words_.begin(), end, word) != end) return;
        const auto place = std::upper_bound(words_.begin(), end, word, [this](std::uint64_t a, std::uint64_t b) {
            return (a & key_mask_) < (b & key_mask_);
        });
        std::move_backward(place, end, end + 1);
        *place = word;
        size_++;
    }
    std::span<const std::uint64_t> view() const noexcept { return {words_.data(), size_}; }

private:
    std::uint64_t key_mask_;
    std::array<std::uint64_t, few_pointers> words_;
    std::size_t size_ = 0;
};

}  // namespace

bool find_items(std::span<const std::uint64_t> pointers, unsigned heap_address_bits, std::size_t payload_size,
                ItemPlaces &places) {
    if (pointers.size() > few_pointers) return false;
    const std::uint64_t mask = address_mask(heap_address_bits);
    Ordered ordered(immediate_flag | mask);
    for (const std::uint64_t word : pointers) ordered.insert(word);
    const auto words = ordered.view();
    std::size_t end = payload_size;
    for (auto at = words.rbegin(); at != words.rend(); ++at) {
        if (*at & immediate_flag) continue;
        const std::uint64_t id = *at >> heap_address_bits;
        const std::uint64_t start = *at & mask;
        if (start > payload_size) return false;
        if (id > payload_length_id)
            places.addressed.push_back({id, static_cast<std::size_t>(start), end});
        else if (id != 0)
            continue;
        end = static_cast<std::size_t>(start);
    }
    std::reverse(places.addressed.begin(), places.addressed.end());
    for (const std::uint64_t word : words) {
        const std::uint64_t id = (word ^ immediate_flag) >> heap_address_bits;
        if (word & immediate_flag && id > payload_length_id) places.immediate.push_back({id, word & mask});
    }
    return true;
}

}  // namespace spead
