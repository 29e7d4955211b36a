// Packets that lie back to back in memory: a recording, say. Ends behind the last one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"

namespace spead {

class MemoryReceiver final : public ReceiverBase {
public:
    // `owner` keeps the memory valid.
    MemoryReceiver(const std::uint8_t *data, std::size_t size, std::shared_ptr<void> owner);

protected:
    // Bytes that cannot start a packet are skipped in steps of 8, and handed out as packets of that size, so that they are
    // counted as rejected; so is an incomplete packet at the end.
    std::size_t try_recv(std::size_t limit, spead_batch &batch) override;
    int fileno() const noexcept override { return readable_.fileno(); }
    void release() noexcept override {}

private:
    std::size_t next_packet() const noexcept;

    std::shared_ptr<void> owner_;
    const std::uint8_t *at_;
    const std::uint8_t *end_;
    Event readable_;
    std::vector<spead_slice> slices_;
    std::vector<spead_packet> packets_;
};

}  // namespace spead
