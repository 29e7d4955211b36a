// Keeps all packets in memory, back to back, as they would lie in a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "endpoint.hpp"
#include "event.hpp"

namespace spead {

class MemorySender final : public SenderBase {
public:
    // Where it writes: a block that is replaced by a larger one when it is full.
    class Memory {
    public:
        virtual ~Memory() = default;
        // Make a block of `capacity` bytes that begins with the first `kept` ones of the block before, if there was one. Throws
        // std::bad_alloc, and leaves that block as it is.
        virtual std::uint8_t *grow(std::size_t kept, std::size_t capacity) = 0;

    protected:
        // To be called for a block that nobody has written to yet.
        static void prepare(std::span<std::uint8_t> block) noexcept;
    };

    explicit MemorySender(std::unique_ptr<Memory> memory);

    // What `take` makes of the block, of which so many bytes are written that it is told: nothing is written to these any more,
    // nor behind them, before the block is replaced. If `take` returns null, the block is gone, and what was sent with it. Any
    // thread.
    template <typename Take>
    auto taken(Take take) {
        const std::lock_guard lock(mutex_);
        auto *result = take(size_);
        if (!result) size_ = 0;
        capacity_ = size_;
        return result;
    }

protected:
    std::size_t try_send(const spead_batch &batch) override;
    int fileno() const noexcept override { return writable_.fileno(); }
    void release() noexcept override {}

private:
    void make_room(std::size_t size);

    std::mutex mutex_;
    const std::unique_ptr<Memory> memory_;
    std::uint8_t *block_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
    Event writable_;
};

}  // namespace spead
