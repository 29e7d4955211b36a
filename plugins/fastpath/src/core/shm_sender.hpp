// Packets into shared memory. The counterpart of ShmSender in spead_transport_shm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "endpoint.hpp"
#include "event.hpp"
#include "shm_ring.hpp"

namespace spead {

class ShmSender final : public SenderBase {
public:
    // `socket`: connected to the receiver, which knows the ring already. `owner` keeps the ring's memory. Throws
    // std::system_error if the system is out of file descriptors.
    ShmSender(FileDescriptor socket, std::span<std::uint8_t> ring, std::shared_ptr<void> owner);

protected:
    std::size_t try_send(const spead_batch &batch) override;
    int fileno() const noexcept override { return poller_.fileno(); }
    void release() noexcept override;

private:
    std::size_t write(const spead_batch &batch);
    void read_answers();
    void obey(std::string_view answer);

    FileDescriptor socket_;
    std::shared_ptr<void> owner_;
    shm::RingWriter ring_;
    Event writable_;
    Poller poller_;
};

}  // namespace spead
