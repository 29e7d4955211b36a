#include "segment.hpp"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <memory>
#include <new>

namespace spead {

namespace {

constexpr std::size_t smallest = 256;
constexpr std::size_t cache_line = 64;
constexpr std::size_t page = 4096;
constexpr std::size_t huge_page = std::size_t{1} << 21;
// From here on memory comes from the system directly; only what is written to is committed.
constexpr std::size_t worth_mapping = std::size_t{1} << 17;
constexpr std::size_t largest = std::size_t{1} << 46;

constexpr std::size_t round_up(std::size_t size, std::size_t unit) { return (size + unit - 1) / unit * unit; }

// Shelf number 4 * n + q holds segments of (4 + q) / 4 * 2^n bytes.
constexpr std::size_t shelf_of(std::size_t size) {
    size = size < smallest ? smallest : size;
    const auto exponent = static_cast<std::size_t>(std::bit_width(size)) - 1;
    const std::size_t step = std::size_t{1} << (exponent - 2);
    const std::size_t quarters = (size - (std::size_t{1} << exponent) + step - 1) / step;
    return 4 * exponent + quarters;
}

constexpr std::size_t capacity_of(std::size_t shelf) {
    const std::size_t power = std::size_t{1} << shelf / 4;
    return power + shelf % 4 * (power / 4);
}

static_assert(capacity_of(shelf_of(1)) == smallest && capacity_of(shelf_of(257)) == 320);
static_assert(capacity_of(shelf_of(1 << 20)) == 1 << 20 && capacity_of(shelf_of((1 << 20) + 1)) == (1 << 20) + (1 << 18));
static_assert(capacity_of(shelf_of((1 << 21) - 1)) == 1 << 21);

// Anonymous memory, aligned for huge pages if it is large enough for them to help.
void *map(std::size_t size) noexcept {
    const std::size_t slack = size >= huge_page ? huge_page - page : 0;
    void *start = mmap(nullptr, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return nullptr;
    if (slack == 0) return start;
    const auto at = reinterpret_cast<std::uintptr_t>(start);
    const std::uintptr_t aligned = round_up(at, huge_page);
    if (aligned > at) munmap(start, aligned - at);
    if (const std::size_t rest = at + slack - aligned; rest > 0) munmap(reinterpret_cast<void *>(aligned + size), rest);
    void *result = reinterpret_cast<void *>(aligned);
    prefer_huge_pages({static_cast<std::uint8_t *>(result), size});
    return result;
}

}  // namespace

void prefer_huge_pages(std::span<std::uint8_t> memory) noexcept {
    const auto first = reinterpret_cast<std::uintptr_t>(memory.data());
    const std::uintptr_t start = round_up(first, page);
    const std::uintptr_t end = (first + memory.size()) / page * page;
    if (start < end) madvise(reinterpret_cast<void *>(start), end - start, MADV_HUGEPAGE);  // a wish; it does not matter if it fails
}

// Lies behind the memory that it describes, in the same allocation.
struct SegmentPool::Segment : spead_segment {
    SegmentPool *pool;
    Segment *next;
    std::size_t shelf;
    std::atomic<std::size_t> references;
};

namespace {
constexpr std::size_t block_size(std::size_t capacity) { return capacity + (capacity < worth_mapping ? 2 * cache_line : page); }
}  // namespace

SegmentPool::SegmentPool(std::size_t max_kept) : max_kept_(max_kept) {}

SegmentPool::~SegmentPool() {
    for (Shelf &shelf : shelves_) {
        while (Segment *segment = shelf.first) {
            shelf.first = segment->next;
            destroy(segment);
        }
    }
}

SegmentPool &SegmentPool::shared() {
    static SegmentPool &pool = *std::make_unique<SegmentPool>(std::size_t{256} << 20).release();
    return pool;
}

spead_segment *SegmentPool::allocate(std::size_t size, std::size_t references) {
    if (size > largest) return nullptr;
    const std::size_t number = shelf_of(size);
    Shelf &shelf = shelves_[number];
    Segment *segment = nullptr;
    {
        const std::lock_guard lock(shelf.mutex);
        if ((segment = shelf.first)) shelf.first = segment->next;
    }
    if (segment) {
        kept_.fetch_sub(capacity_of(number), std::memory_order_relaxed);
    } else if (!(segment = create(*this, number))) {
        return nullptr;
    }
    segment->references.store(references, std::memory_order_relaxed);
    segment->size = size;
    return segment;
}

SegmentPool::Segment *SegmentPool::create(SegmentPool &pool, std::size_t shelf) {
    static_assert(sizeof(Segment) <= 2 * cache_line);
    const std::size_t capacity = capacity_of(shelf);
    void *block = capacity < worth_mapping ? std::aligned_alloc(cache_line, round_up(block_size(capacity), cache_line))
                                           : map(block_size(capacity));
    if (!block) return nullptr;
    auto *data = static_cast<std::uint8_t *>(block);
    auto *segment = ::new (data + capacity) Segment;
    segment->struct_size = sizeof(spead_segment);
    segment->data = data;
    segment->retain = [](spead_segment *self) {
        static_cast<Segment *>(self)->references.fetch_add(1, std::memory_order_relaxed);
    };
    segment->release = [](spead_segment *self) { release(self, 1); };
    segment->pool = &pool;
    segment->next = nullptr;
    segment->shelf = shelf;
    return segment;
}

void SegmentPool::destroy(Segment *segment) noexcept {
    std::uint8_t *data = segment->data;
    const std::size_t capacity = capacity_of(segment->shelf);
    segment->~Segment();
    if (capacity < worth_mapping)
        std::free(data);
    else
        munmap(data, block_size(capacity));
}

void SegmentPool::release(spead_segment *segment, std::size_t references) noexcept {
    auto *own = static_cast<Segment *>(segment);
    if (own->references.fetch_sub(references, std::memory_order_acq_rel) == references) own->pool->put_back(own);
}

void SegmentPool::put_back(Segment *segment) noexcept {
    const std::size_t capacity = capacity_of(segment->shelf);
    if (kept_.fetch_add(capacity, std::memory_order_relaxed) + capacity > max_kept_) {
        kept_.fetch_sub(capacity, std::memory_order_relaxed);
        destroy(segment);
        return;
    }
    Shelf &shelf = shelves_[segment->shelf];
    const std::lock_guard lock(shelf.mutex);
    segment->next = shelf.first;
    shelf.first = segment;
}

}  // namespace spead
