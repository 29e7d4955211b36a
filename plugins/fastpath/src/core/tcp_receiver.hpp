// Packets out of TCP connections, which come out together. The counterpart of TcpReceiver in spead_transport_tcp.
//
// The stream ends when as many senders as were expected have come and have closed their connections. A connection that breaks
// does not disturb the others; if there was one, the stream ends with an error.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"
#include "packet_framer.hpp"
#include "stream_sender.hpp"

namespace spead {

class TcpReceiver final : public ReceiverBase {
public:
    // `listener` does not wait, and has the options that connections inherit. `connections`: how many senders are expected, if
    // that is known. What claims to be a packet of more than `max_packet_size` bytes is skipped. `url` is what warnings call
    // the receiver. Throws std::system_error if the system is out of file descriptors.
    TcpReceiver(FileDescriptor listener, std::optional<std::size_t> connections, std::size_t max_packet_size, std::string url,
                Hints hints);

protected:
    std::size_t try_recv(std::size_t limit, spead_batch &batch) override;
    int fileno() const noexcept override { return poller_.fileno(); }
    void release() noexcept override;

private:
    struct Connection {
        FileDescriptor socket;
        std::string peer;
        PacketFramer framer;
    };

    void accept_all();
    void receive(Connection &connection);
    void note_failure(const std::string &peer, int error);
    Error failure(const std::string &peer, int error) const;
    bool over() const noexcept { return !listener_ && connections_.empty(); }
    void stop_listening() noexcept;
    void close(Connection &connection) noexcept;

    FileDescriptor listener_;
    const std::string url_;
    const Hints hints_;
    // Who have not come yet, if their number is known.
    std::optional<std::size_t> missing_;
    const std::size_t max_packet_size_;
    // In the order of their turns.
    std::list<Connection> connections_;
    // Whose framer the last packets are in, once its connection is closed.
    std::list<Connection> closed_;
    // Of the first connection that broke.
    std::optional<Error> broken_;
    // Set once nothing more can come.
    Event over_;
    Poller poller_;
    std::vector<spead_slice> slices_;
    std::vector<spead_packet> packets_;
};

}  // namespace spead
