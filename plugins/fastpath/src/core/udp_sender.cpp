#include "udp_sender.hpp"

#include <netinet/udp.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace spead {

namespace {

// Limits of the kernel: segments of a message (UDP_MAX_SEGMENTS; before Linux 6.10 there were fewer), its payload over IPv6
// without jumbograms, and pieces of memory (UIO_MAXIOV).
constexpr std::size_t max_segments = 128;
constexpr std::size_t former_max_segments = 64;
constexpr std::size_t max_message = 65535 - 8 - 40;
constexpr std::size_t max_slices = 1024;
// Messages in one system call.
constexpr std::size_t max_messages = 64;

static_assert(sizeof(spead_slice) == sizeof(iovec) && offsetof(spead_slice, data) == offsetof(iovec, iov_base) &&
              offsetof(spead_slice, size) == offsetof(iovec, iov_len));

}  // namespace

UdpSender::UdpSender(FileDescriptor socket, std::vector<SocketAddress> destinations, bool segmentation)
    : SenderBase(destinations.size()), socket_(std::move(socket)), most_segments_(max_segments) {
    // A kernel that does not know UDP_SEGMENT ignores the control message, and would send one large packet.
    const int off = 0;
    segmentation = segmentation && setsockopt(socket_.get(), IPPROTO_UDP, UDP_SEGMENT, &off, sizeof off) == 0;
    for (const SocketAddress &address : destinations) destinations_.push_back({address, segmentation ? max_message : 0});
    poller_.add(socket_.get(), true);
    poller_.add(closed_.fileno());
}

std::size_t UdpSender::try_send(const spead_batch &batch) {
    if (batch.destination >= destinations_.size())
        fail(ErrorKind::refused, EINVAL,
             "there is no destination " + std::to_string(batch.destination) + ", only " +
                 std::to_string(destinations_.size()));
    Destination &destination = destinations_[batch.destination];
    std::size_t sent = 0;
    while (sent < batch.num_packets) {
        const std::size_t count = send(batch, sent, destination);
        if (count == 0) break;
        sent += count;
    }
    return sent;
}

// Send some packets from number `first` on: how many were sent, 0 if that is for the next call.
std::size_t UdpSender::send(const spead_batch &batch, std::size_t first, Destination &destination) {
    for (;;) {
        cut(batch, first, destination.largest_segment);
        prepare(batch, destination);
        const int count = sendmmsg(socket_.get(), headers_.data(), static_cast<unsigned>(headers_.size()), MSG_DONTWAIT);
        if (count > 0) {
            const Message &last = messages_[static_cast<std::size_t>(count) - 1];
            return last.first + last.count - first;
        }
        const int error = errno;
        if (error == EAGAIN) return 0;
        // A refusal is reported for an earlier packet (ICMP), and thereby done with: the next packet may arrive.
        if (error == EINTR || error == ECONNREFUSED) continue;
        const std::size_t size = batch.packets[first].size;
        if (error == EINVAL && messages_[0].count > former_max_segments) {
            most_segments_ = former_max_segments;
            continue;
        }
        if (messages_[0].count > 1 && (error == EINVAL || error == EMSGSIZE || error == EIO)) {
            // A segment is larger than the route's packets (EINVAL, EMSGSIZE): it would go in fragments otherwise. Or the
            // adapter cannot compute checksums (EIO).
            destination.largest_segment = error == EIO ? 0 : size - 1;
            continue;
        }
        if (first > 0 || (error == ENOBUFS && unsent())) return 0;
        fail(ErrorKind::refused, error, "a packet of " + std::to_string(size) + " bytes cannot be sent");
    }
}

// Whether something is left in the socket's buffer. ENOBUFS then means the same as EAGAIN; otherwise the packet will never
// fit.
bool UdpSender::unsent() const noexcept {
    int bytes = 0;
    return ioctl(socket_.get(), TIOCOUTQ, &bytes) == 0 && bytes > 0;
}

// Find the packets of each of the next messages.
void UdpSender::cut(const spead_batch &batch, std::size_t first, std::size_t largest_segment) {
    messages_.clear();
    while (first < batch.num_packets && messages_.size() < max_messages) {
        const std::size_t segment = batch.packets[first].size;
        std::size_t bytes = segment;
        std::size_t slices = batch.packets[first].num_slices;
        std::size_t last = first + 1;
        while (segment <= largest_segment && last < batch.num_packets && last - first < most_segments_) {
            const spead_packet &next = batch.packets[last];
            bytes += next.size;
            slices += next.num_slices;
            if (next.size > segment || next.size == 0 || bytes > max_message || slices > max_slices) break;
            last++;
            if (next.size < segment) break;  // only the last segment may be shorter
        }
        messages_.push_back({first, last - first});
        first = last;
    }
}

void UdpSender::prepare(const spead_batch &batch, Destination &destination) {
    headers_.assign(messages_.size(), mmsghdr{});
    controls_.resize(messages_.size());
    for (std::size_t i = 0; i < messages_.size(); i++) {
        const Message &message = messages_[i];
        const spead_packet &first = batch.packets[message.first];
        const spead_packet &last = batch.packets[message.first + message.count - 1];
        msghdr &header = headers_[i].msg_hdr;
        header.msg_iov = reinterpret_cast<iovec *>(const_cast<spead_slice *>(first.slices));
        header.msg_iovlen = static_cast<std::size_t>(last.slices + last.num_slices - first.slices);
        if (destination.address.size > 0) {
            header.msg_name = &destination.address.storage;
            header.msg_namelen = destination.address.size;
        }
        if (message.count == 1) continue;
        header.msg_control = controls_[i].bytes;
        header.msg_controllen = sizeof controls_[i].bytes;
        cmsghdr *control = CMSG_FIRSTHDR(&header);
        control->cmsg_level = IPPROTO_UDP;
        control->cmsg_type = UDP_SEGMENT;
        control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
        const auto segment = static_cast<std::uint16_t>(first.size);
        std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
    }
}

}  // namespace spead
