// Finds a live heap by its number, however many there are.
//
// Open addressing with linear probing. The hash has a secret factor: the numbers come from the network, and whoever
// sends them must not be able to make them collide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace spead {

template <typename Heap>
class HeapTable {
public:
    HeapTable() : places_(16) {}

    Heap *find(std::uint64_t cnt) const noexcept {
        if (size_ == 0) return nullptr;
        for (std::size_t at = home(cnt);; at = next(at)) {
            Heap *heap = places_[at];
            if (!heap || heap->cnt == cnt) return heap;
        }
    }

    // No heap with the same number may be in the table.
    void insert(Heap *heap) {
        if (2 * (size_ + 1) > places_.size()) grow();
        place(heap);
        size_++;
    }

    // The heap must be in the table.
    void erase(const Heap *heap) noexcept {
        std::size_t hole = home(heap->cnt);
        while (places_[hole] != heap) hole = next(hole);
        // Close the gap with those behind it that would otherwise no longer be found.
        for (std::size_t at = next(hole); places_[at]; at = next(at)) {
            const std::size_t distance = (at - home(places_[at]->cnt)) & (places_.size() - 1);
            if (distance >= ((at - hole) & (places_.size() - 1))) places_[std::exchange(hole, at)] = places_[at];
        }
        places_[hole] = nullptr;
        size_--;
    }

    std::size_t size() const noexcept { return size_; }

private:
    // One for the whole process: it takes longer to get than a stream to make.
    static std::uint64_t secret_factor() {
        static const std::uint64_t factor = [] {
            std::random_device random;
            return (std::uint64_t{random()} << 32 | random()) | 1;
        }();
        return factor;
    }
    std::size_t home(std::uint64_t cnt) const noexcept {
        const std::uint64_t mixed = (cnt ^ cnt >> 32) * factor_;
        return static_cast<std::size_t>(mixed >> 32) & (places_.size() - 1);
    }
    std::size_t next(std::size_t at) const noexcept { return (at + 1) & (places_.size() - 1); }
    void place(Heap *heap) noexcept {
        std::size_t at = home(heap->cnt);
        while (places_[at]) at = next(at);
        places_[at] = heap;
    }
    void grow() {
        std::vector<Heap *> old(2 * places_.size());
        old.swap(places_);
        for (Heap *heap : old)
            if (heap) place(heap);
    }

    std::vector<Heap *> places_;
    std::size_t size_ = 0;
    const std::uint64_t factor_ = secret_factor();
};

}  // namespace spead
