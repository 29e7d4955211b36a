#include "udp_receiver.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace spead {

namespace {

// The largest message that the kernel hands out, whatever datagrams it consists of.
constexpr std::size_t whole_message = 65536;
// Messages in one system call: of many datagrams each, and of single ones.
constexpr std::size_t coalesced_messages = 8;
constexpr std::size_t single_messages = 64;

// SO_MEMINFO gives an array of 32-bit numbers, of which this one counts the packets dropped (linux/sock_diag.h).
constexpr std::size_t meminfo_drops = 8;

bool enable_coalescing(int fd) noexcept {
    const int on = 1;
    return setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0;
}

// The kernel's counter of packets that found the socket's buffer full; 0 if it does not say.
std::uint32_t kernel_drops(int fd) noexcept {
    std::array<std::uint32_t, meminfo_drops + 1> info{};
    socklen_t size = sizeof info;
    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info.data(), &size) == 0 ? info[meminfo_drops] : 0;
}

// What routers and hosts reported about packets that were sent from the socket: no concern of a receiver.
bool is_report(int error) noexcept {
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EMSGSIZE || error == ENOPROTOOPT ||
           error == EPROTO;
}

}  // namespace

UdpReceiver::UdpReceiver(std::vector<FileDescriptor> sockets, std::size_t max_size, bool coalescing)
    : ReceiverBase(socket_rest_ns), max_size_(max_size) {
    for (FileDescriptor &fd : sockets) {
        coalescing = enable_coalescing(fd.get()) && coalescing;
        poller_.add(fd.get());
        const std::uint32_t before = kernel_drops(fd.get());
        sockets_.push_back({std::move(fd), before});
    }
    poller_.add(closed_.fileno());
    // One byte more than wanted shows that a datagram is longer.
    buffer_size_ = coalescing ? whole_message : std::min(max_size + 1, whole_message);
    const std::size_t count = coalescing ? coalesced_messages : single_messages;
    buffers_ = std::make_unique_for_overwrite<std::uint8_t[]>(count * buffer_size_);
    headers_.resize(count);
    vectors_.resize(count);
    controls_.resize(count);
}

std::size_t UdpReceiver::try_recv(std::size_t limit, spead_batch &batch) {
    slices_.clear();
    for (std::size_t i = 0; i < sockets_.size() && slices_.empty(); i++) {
        turn_ = turn_ + 1 == sockets_.size() ? 0 : turn_ + 1;
        // Until a packet comes that is no longer than wanted, or none at all.
        while (receive(sockets_[turn_], limit) > 0 && slices_.empty()) {
        }
    }
    packets_.resize(slices_.size());
    for (std::size_t i = 0; i < slices_.size(); i++) packets_[i] = {&slices_[i], 1, slices_[i].size};
    batch.packets = packets_.data();
    return packets_.size();
}

// Take messages from a socket: how many there were.
std::size_t UdpReceiver::receive(Socket &socket, std::size_t limit) {
    const std::size_t most = std::min(headers_.size(), limit);
    prepare(most);
    int count;
    do {
        count = recvmmsg(socket.fd.get(), headers_.data(), static_cast<unsigned>(most), MSG_DONTWAIT, nullptr);
    } while (count < 0 && (errno == EINTR || is_report(errno)));
    if (count < 0) {
        if (errno == EAGAIN) return 0;
        fail(ErrorKind::broken, errno, "cannot receive");
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); i++)
        take_message(headers_[i], buffers_.get() + i * buffer_size_);
    return static_cast<std::size_t>(count);
}

void UdpReceiver::prepare(std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; i++) {
        vectors_[i] = {buffers_.get() + i * buffer_size_, buffer_size_};
        headers_[i] = {};
        msghdr &header = headers_[i].msg_hdr;
        header.msg_iov = &vectors_[i];
        header.msg_iovlen = 1;
        header.msg_control = controls_[i].bytes;
        header.msg_controllen = sizeof controls_[i].bytes;
    }
}

void UdpReceiver::take_message(const mmsghdr &header, const std::uint8_t *data) {
    std::size_t size = header.msg_len;
    std::size_t segment = size;
    for (cmsghdr *control = CMSG_FIRSTHDR(&header.msg_hdr); control;
         control = CMSG_NXTHDR(const_cast<msghdr *>(&header.msg_hdr), control)) {
        if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO) continue;
        int value;
        std::memcpy(&value, CMSG_DATA(control), sizeof value);
        if (value > 0) segment = static_cast<std::size_t>(value);
    }
    if (header.msg_hdr.msg_flags & MSG_TRUNC || segment > max_size_) {
        truncated_ += segment > 0 ? (size + segment - 1) / segment : 1;
        return;
    }
    do {
        const std::size_t next = std::min(size, segment);
        slices_.push_back({data, next});
        data += next;
        size -= next;
    } while (size > 0);
}

std::uint64_t UdpReceiver::drops(std::size_t index, const char *&reason) const noexcept {
    if (index > 1) {
        reason = nullptr;
        return 0;
    }
    reason = index == 0 ? "kernel" : "truncated";
    if (index == 1) return truncated_;
    std::uint64_t total = 0;
    for (const Socket &socket : sockets_) total += static_cast<std::uint32_t>(kernel_drops(socket.fd.get()) - socket.dropped_before);
    return total;
}

}  // namespace spead
