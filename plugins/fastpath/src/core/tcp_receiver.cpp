#include "tcp_receiver.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace spead {

namespace {

// Whether the connection was gone before it was accepted, or something else happened to it alone (accept(2)).
bool was_missed(int error) noexcept {
    constexpr std::array missed{ECONNABORTED, EPROTO,       ENETDOWN,   ENOPROTOOPT, EHOSTDOWN,
                                ENONET,       EHOSTUNREACH, ENETUNREACH, EINTR};
    return std::find(missed.begin(), missed.end(), error) != missed.end();
}

// An address as host:port, with brackets around one of IPv6.
std::string name_of(const sockaddr_storage &address, socklen_t size) {
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    getnameinfo(reinterpret_cast<const sockaddr *>(&address), size, host.data(), host.size(), port.data(), port.size(),
                NI_NUMERICHOST | NI_NUMERICSERV);
    const std::string name = host.data();
    return (address.ss_family == AF_INET6 ? "[" + name + "]" : name) + ":" + port.data();
}

}  // namespace

TcpReceiver::TcpReceiver(FileDescriptor listener, std::optional<std::size_t> connections, std::size_t max_packet_size,
                         std::string url, Hints hints)
    : ReceiverBase(socket_rest_ns),
      listener_(std::move(listener)),
      url_(std::move(url)),
      hints_(std::move(hints)),
      missing_(connections),
      max_packet_size_(max_packet_size) {
    poller_.add(listener_.get());
    poller_.add(over_.fileno());
}

std::size_t TcpReceiver::try_recv(std::size_t, spead_batch &batch) {
    slices_.clear();
    closed_.clear();
    std::vector<int> ready = poller_.ready();
    const auto is_ready = [&](int fd) { return std::find(ready.begin(), ready.end(), fd) != ready.end(); };
    if (listener_ && is_ready(listener_.get())) {
        accept_all();
        ready = poller_.ready();
    }
    for (std::size_t left = connections_.size(); left > 0 && slices_.empty(); left--) {
        Connection &connection = connections_.front();
        // Who was looked at goes to the end.
        connections_.splice(connections_.end(), connections_, connections_.begin());
        if (is_ready(connection.socket.get())) receive(connection);
    }
    if (slices_.empty() && over()) {
        if (broken_) throw TransportException(*broken_);
        fail(ErrorKind::end_of_stream, 0, "the last connection was closed");
    }
    packets_.resize(slices_.size());
    for (std::size_t i = 0; i < slices_.size(); i++) packets_[i] = {&slices_[i], 1, slices_[i].size};
    batch.packets = packets_.data();
    return packets_.size();
}

// Accept all who are waiting and expected.
void TcpReceiver::accept_all() {
    while (missing_ != 0) {
        sockaddr_storage address{};
        socklen_t size = sizeof address;
        FileDescriptor socket(
            accept4(listener_.get(), reinterpret_cast<sockaddr *>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!socket) {
            if (errno == EAGAIN) return;
            if (was_missed(errno)) continue;
            const auto hint = hints_.find(errno);
            fail(ErrorKind::broken, errno,
                 with_hint("cannot accept a connection", hint == hints_.end() ? std::string() : hint->second));
        }
        poller_.add(socket.get());
        connections_.push_back({std::move(socket), name_of(address, size), PacketFramer(max_packet_size_)});
        if (missing_) --*missing_;
    }
    stop_listening();
}

// The next packets of a connection, which is closed if this is its end.
void TcpReceiver::receive(Connection &connection) {
    for (;;) {
        const std::span<std::uint8_t> room = connection.framer.room();
        const ssize_t count = recv(connection.socket.get(), room.data(), room.size(), MSG_DONTWAIT);
        if (count > 0) {
            connection.framer.add(static_cast<std::size_t>(count), slices_);
            // Half a packet, of which more is there already?
            if (slices_.empty() && static_cast<std::size_t>(count) == room.size()) continue;
            return;
        }
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return;
        const int error = count < 0 ? errno : 0;
        connection.framer.finish(slices_);
        const std::string peer = connection.peer;
        close(connection);
        if (error) note_failure(peer, error);
        return;
    }
}

// The stream ends with the first failure, but others are not disturbed: they may go on for long.
void TcpReceiver::note_failure(const std::string &peer, int error) {
    Error broken = failure(peer, error);
    if (!over()) {
        const std::size_t mark = broken.message.find(hint_mark);
        const std::string number = " [errno " + std::to_string(error) + ": " + std::generic_category().message(error) + "]";
        const std::string hint = mark == std::string::npos ? "" : broken.message.substr(mark);
        notify(url_ + ": " + broken.message.substr(0, mark) + number + hint);
    }
    if (!broken_) broken_ = std::move(broken);
}

Error TcpReceiver::failure(const std::string &peer, int error) const {
    const auto hint = hints_.find(error);
    return {ErrorKind::broken, error,
            with_hint("the connection from " + peer + " broke", hint == hints_.end() ? std::string() : hint->second)};
}

void TcpReceiver::stop_listening() noexcept {
    if (listener_) poller_.remove(listener_.get());
    listener_ = {};
}

void TcpReceiver::close(Connection &connection) noexcept {
    poller_.remove(connection.socket.get());
    connection.socket = {};
    const auto is_it = [&](const Connection &other) { return &other == &connection; };
    closed_.splice(closed_.end(), connections_, std::find_if(connections_.begin(), connections_.end(), is_it));
    if (over()) over_.set();
}

void TcpReceiver::release() noexcept {
    while (!connections_.empty()) close(connections_.front());
    stop_listening();
    over_.set();
}

}  // namespace spead
