// Packets into UDP datagrams.
//
// Neighbouring packets of equal size (the last one may be shorter), of one heap or of several, leave as one message that
// the kernel or the network adapter cuts up (UDP_SEGMENT, udp(7)), and several messages in one system call
// (sendmmsg(2)). Where the kernel or the path to a destination refuses that, packets to it leave one by one.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"

namespace spead {

// Where packets go.
struct SocketAddress {
    sockaddr_storage storage{};
    // 0 if the socket is connected.
    socklen_t size = 0;
};

class UdpSender final : public SenderBase {
public:
    // Throws std::system_error if the system is out of file descriptors. `socket` does not block.
    UdpSender(FileDescriptor socket, std::vector<SocketAddress> destinations, bool segmentation = true);

protected:
    std::size_t try_send(const spead_batch &batch) override;
    int fileno() const noexcept override { return poller_.fileno(); }
    void release() noexcept override { closed_.set(); }

private:
    struct Destination {
        SocketAddress address;
        // The kernel cuts messages into packets up to this size, as far as is known; 0 if it refuses altogether.
        std::size_t largest_segment;
    };
    // Packets [first, first + count) of a batch.
    struct Message {
        std::size_t first;
        std::size_t count;
    };
    struct alignas(cmsghdr) Control {
        char bytes[CMSG_SPACE(sizeof(std::uint16_t))];
    };

    void cut(const spead_batch &batch, std::size_t first, std::size_t largest_segment);
    void prepare(const spead_batch &batch, Destination &destination);
    std::size_t send(const spead_batch &batch, std::size_t first, Destination &destination);
    bool unsent() const noexcept;

    FileDescriptor socket_;
    std::size_t most_segments_;
    std::vector<Destination> destinations_;
    Event closed_;
    Poller poller_;
    std::vector<Message> messages_;
    std::vector<mmsghdr> headers_;
    std::vector<Control> controls_;
};

}  // namespace spead
