#include "block_pool.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

#include "event.hpp"

namespace spead {

namespace {

// Writing to memory so many bytes apart makes the system commit all of it.
constexpr std::size_t page = 4096;

}  // namespace

// Memory from the source, and the segment as which it is lent.
struct BlockPool::Block : spead_segment {
    SegmentRef memory;
    // While it is lent.
    std::shared_ptr<BlockPool> pool;
    std::atomic<std::size_t> references{0};

    static void add_reference(spead_segment *segment) noexcept {
        static_cast<Block *>(segment)->references.fetch_add(1, std::memory_order_relaxed);
    }
    static void drop_reference(spead_segment *segment) noexcept {
        auto *block = static_cast<Block *>(segment);
        if (block->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        const std::shared_ptr<BlockPool> pool = std::move(block->pool);
        pool->give_back(std::unique_ptr<Block>(block));
    }
};

// For a worker: makes blocks until the pool holds enough of them.
class BlockPool::Refill final : public Task {
public:
    explicit Refill(std::weak_ptr<BlockPool> pool) : pool_(std::move(pool)) {}

    // One block at a time, so that the worker's other tasks do not wait for long.
    Wait step() noexcept override {
        const std::shared_ptr<BlockPool> pool = pool_.lock();
        return pool && pool->refill() ? Wait{Delay{0.0}} : Wait{Paused{}};
    }

private:
    const std::weak_ptr<BlockPool> pool_;
};

BlockPool::BlockPool(const BlockPoolConfig &config, std::shared_ptr<HeapAllocator> source, std::shared_ptr<Worker> worker, Log log)
    : config_(config), source_(std::move(source)), worker_(std::move(worker)), log_(std::move(log)) {}

BlockPool::~BlockPool() = default;

void BlockPool::fill(std::size_t count) {
    for (; count > 0; count--) add_free(make(true), false);
}

SegmentRef BlockPool::allocate(std::size_t size) {
    try {
        return obtain(size);
    } catch (const std::bad_alloc &) {
        return {};
    }
}

SegmentRef BlockPool::obtain(std::size_t size) {
    if (size < config_.lower || size > config_.upper) {
        {
            const std::lock_guard lock(mutex_);
            statistics_.requests_out_of_range++;
        }
        return from_source(size);
    }
    bool few = false;
    std::unique_ptr<Block> block = take(few);
    if (few) worker_->kick(refill_);
    if (!block) {
        warn_empty();
        block = make(false);
        const std::lock_guard lock(mutex_);
        statistics_.made++;
        statistics_.made_when_empty++;
        count_loan();
    }
    return lend(std::move(block), size);
}

// A free block, if there is one; and whether more are to be made in the background.
std::unique_ptr<BlockPool::Block> BlockPool::take(bool &few) {
    std::unique_ptr<Block> block;
    const std::lock_guard lock(mutex_);
    statistics_.requests++;
    if (!free_.empty()) {
        // The one that was used last is the likeliest to be in the processor's caches.
        block = std::move(free_.back());
        free_.pop_back();
        count_loan();
    }
    few = worker_ && free_.size() < config_.low_water;
    if (few && !refill_) refill_ = std::make_shared<Refill>(weak_from_this());
    return block;
}

void BlockPool::count_loan() noexcept {
    statistics_.lent++;
    statistics_.peak_lent = std::max(statistics_.peak_lent, statistics_.lent);
}

BlockPoolStatistics BlockPool::statistics() const {
    const std::lock_guard lock(mutex_);
    BlockPoolStatistics result = statistics_;
    result.free = free_.size();
    return result;
}

bool BlockPool::warn_on_empty() const {
    const std::lock_guard lock(mutex_);
    return warn_on_empty_;
}

void BlockPool::set_warn_on_empty(bool warn) {
    const std::lock_guard lock(mutex_);
    warn_on_empty_ = warn;
}

SegmentRef BlockPool::from_source(std::size_t size) {
    SegmentRef memory = source_->allocate(size);
    if (!memory) throw OutOfMemory("the system has no memory for " + std::to_string(size) + " bytes");
    return memory;
}

// A new block. `commit`: the system is to commit all of it now.
std::unique_ptr<BlockPool::Block> BlockPool::make(bool commit) {
    SegmentRef memory = from_source(config_.upper);
    auto block = std::make_unique<Block>();
    block->struct_size = sizeof(spead_segment);
    block->data = memory.data();
    block->retain = &Block::add_reference;
    block->release = &Block::drop_reference;
    block->memory = std::move(memory);
    if (commit)
        for (std::size_t at = 0; at < config_.upper; at += page) block->data[at] = 0;
    return block;
}

SegmentRef BlockPool::lend(std::unique_ptr<Block> block, std::size_t size) {
    block->size = size;
    block->references.store(1, std::memory_order_relaxed);
    block->pool = shared_from_this();
    return SegmentRef::take(block.release());
}

void BlockPool::add_free(std::unique_ptr<Block> block, bool in_background) {
    const std::lock_guard lock(mutex_);
    statistics_.made++;
    statistics_.made_in_background += in_background;
    if (free_.size() < config_.max_free)
        free_.push_back(std::move(block));
    else
        statistics_.released++;
}

void BlockPool::give_back(std::unique_ptr<Block> block) noexcept {
    std::unique_ptr<Block> released;
    const std::lock_guard lock(mutex_);
    statistics_.lent--;
    if (free_.size() < config_.max_free) {
        free_.push_back(std::move(block));
    } else {
        statistics_.released++;
        released = std::move(block);
    }
}

void BlockPool::warn_empty() {
    std::vector<std::string> messages;
    {
        const std::lock_guard lock(mutex_);
        const double now = monotonic_time();
        if (!warn_on_empty_ || !notices_.due(Notices::pool_empty, now)) return;
        notices_.add(Notices::pool_empty, now,
                     "a memory pool of blocks of " + std::to_string(config_.upper) +
                         " bytes is empty: new memory is allocated");
        messages = notices_.take();
    }
    for (const std::string &message : messages) log_(message);
}

// Make one block more, if there are few; whether it did.
bool BlockPool::refill() {
    {
        const std::lock_guard lock(mutex_);
        if (free_.size() >= config_.low_water) return false;
    }
    try {
        add_free(make(true), true);
        return true;
    } catch (const std::exception &exception) {  // there is none, or whatever an allocator throws
        log_(std::string("the memory pool is not refilled: ") + exception.what());
        return false;
    }
}

}  // namespace spead
