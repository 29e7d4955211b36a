// A pool of memory for heaps, with limits that the user sets and statistics: what is inside a MemoryPool.
//
// Blocks of one size are lent as segments and come back when the last reference goes, in whichever thread that happens. They
// keep the pool's state alive. No lock is held while memory is asked for or given back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "notices.hpp"
#include "segment.hpp"
#include "workers.hpp"

namespace spead {

// There is no memory, for this reason.
class OutOfMemory : public std::bad_alloc {
public:
    explicit OutOfMemory(std::string message) : message_(std::move(message)) {}
    const char *what() const noexcept override { return message_.c_str(); }

private:
    std::string message_;
};

struct BlockPoolConfig {
    // Requests for this many bytes are served, with blocks of `upper` bytes.
    std::size_t lower = 0;
    std::size_t upper = 0;
    // How many unused blocks are kept at most.
    std::size_t max_free = 0;
    // When fewer are unused, more are made in the background, if there is a worker for that.
    std::size_t low_water = 0;
};

// In blocks: see MemoryPoolStatistics.
struct BlockPoolStatistics {
    std::uint64_t free = 0;
    std::uint64_t lent = 0;
    std::uint64_t made = 0;
    std::uint64_t made_in_background = 0;
    std::uint64_t made_when_empty = 0;
    std::uint64_t released = 0;
    std::uint64_t requests = 0;
    std::uint64_t requests_out_of_range = 0;
    std::uint64_t peak_lent = 0;
};

class BlockPool final : public HeapAllocator, public std::enable_shared_from_this<BlockPool> {
public:
    using Log = std::function<void(const std::string &warning)>;

    // `source`: where blocks come from, and memory of other sizes; it may throw OutOfMemory, too. `worker` may be null.
    BlockPool(const BlockPoolConfig &config, std::shared_ptr<HeapAllocator> source, std::shared_ptr<Worker> worker, Log log);
    ~BlockPool() override;

    // Make `count` blocks at once. Throws OutOfMemory.
    void fill(std::size_t count);
    // Memory from the pool, or from the source if the pool is empty or not made for the size. Throws OutOfMemory.
    SegmentRef obtain(std::size_t size);
    SegmentRef allocate(std::size_t size) override;
    BlockPoolStatistics statistics() const;
    bool warn_on_empty() const;
    void set_warn_on_empty(bool warn);

private:
    struct Block;
    class Refill;

    std::unique_ptr<Block> take(bool &few);
    SegmentRef from_source(std::size_t size);
    std::unique_ptr<Block> make(bool commit);
    SegmentRef lend(std::unique_ptr<Block> block, std::size_t size);
    void count_loan() noexcept;
    void add_free(std::unique_ptr<Block> block, bool in_background);
    void give_back(std::unique_ptr<Block> block) noexcept;
    void warn_empty();
    bool refill();

    const BlockPoolConfig config_;
    const std::shared_ptr<HeapAllocator> source_;
    const std::shared_ptr<Worker> worker_;
    const Log log_;
    std::shared_ptr<Refill> refill_;
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Block>> free_;
    BlockPoolStatistics statistics_;
    bool warn_on_empty_ = true;
    Notices notices_;
};

}  // namespace spead
