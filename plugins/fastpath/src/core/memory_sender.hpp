// Keeps all packets in memory, back to back, as they would lie in a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"
#include "segment.hpp"

namespace spead {

class MemorySender final : public SenderBase {
public:
    // The first `size` bytes of `memory`.
    struct Piece {
        SegmentRef memory;
        std::size_t size;
    };

    MemorySender();

    // Everything that was sent so far; it stays as it is. Any thread.
    std::vector<Piece> pieces() const;
    // Copy pieces to memory of their size, which is fresh.
    static void join(std::span<const Piece> pieces, std::span<std::uint8_t> target) noexcept;

protected:
    std::size_t try_send(const spead_batch &batch) override;
    int fileno() const noexcept override { return writable_.fileno(); }
    void release() noexcept override {}

private:
    void append(const std::uint8_t *data, std::size_t size);
    void add_piece();

    mutable std::mutex mutex_;
    std::vector<Piece> pieces_;
    Event writable_;
};

}  // namespace spead
