// Packets out of UDP datagrams.
//
// Several messages come with one system call (recvmmsg(2)), each of which may be many datagrams that the kernel did not
// take apart (UDP_GRO, udp(7)).
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"

namespace spead {

class UdpReceiver final : public ReceiverBase {
public:
    // Takes packets of up to `max_size` bytes from the sockets, in turn; longer ones are dropped and counted. Throws
    // std::system_error if the system is out of file descriptors. The sockets do not block.
    UdpReceiver(std::vector<FileDescriptor> sockets, std::size_t max_size, bool coalescing = true);

protected:
    std::size_t try_recv(std::size_t limit, spead_batch &batch) override;
    int fileno() const noexcept override { return poller_.fileno(); }
    std::uint64_t drops(std::size_t index, const char *&reason) const noexcept override;
    void release() noexcept override { closed_.set(); }

private:
    struct Socket {
        FileDescriptor fd;
        // The kernel's counter of packets that it had no room for, when this object was made.
        std::uint32_t dropped_before;
    };
    struct alignas(cmsghdr) Control {
        // Enough for UDP_GRO's message beside any that the previous owner of the socket asked for.
        char bytes[512];
    };

    void prepare(std::size_t count) noexcept;
    std::size_t receive(Socket &socket, std::size_t limit);
    void take_message(const mmsghdr &header, const std::uint8_t *data);

    std::vector<Socket> sockets_;
    std::size_t max_size_;
    std::size_t buffer_size_;
    std::size_t turn_ = 0;
    Event closed_;
    Poller poller_;
    std::unique_ptr<std::uint8_t[]> buffers_;
    std::vector<mmsghdr> headers_;
    std::vector<iovec> vectors_;
    std::vector<Control> controls_;
    std::vector<spead_slice> slices_;
    std::vector<spead_packet> packets_;
    std::atomic<std::uint64_t> truncated_{0};
};

}  // namespace spead
