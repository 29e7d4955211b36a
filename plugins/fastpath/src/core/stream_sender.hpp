// Packets into a stream of bytes: a connection, a file or a pipe. They follow each other with nothing in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"

namespace spead {

// What to do about errors of the system, by their numbers.
using Hints = std::map<int, std::string>;

class StreamSender final : public SenderBase {
public:
    // Writing to `fd`, or sending if it is a socket, does not wait. `refusal` begins the message if it fails. Throws
    // std::system_error if the system is out of file descriptors.
    StreamSender(FileDescriptor fd, bool is_socket, std::string refusal, Hints hints);

protected:
    // A packet counts as taken when its last byte is written. One of which only a part was written so far is kept, and finished
    // by the next call. If that call brings the packet again, as the contract asks for, it is not written twice; if it does
    // not, because the caller gave the packet up, the packets that follow begin where they should.
    std::size_t try_send(const spead_batch &batch) override;
    int fileno() const noexcept override { return poller_.fileno(); }
    void release() noexcept override;

private:
    bool finish_cut();
    std::size_t write(const spead_slice *slices, std::size_t count);
    void cut(const spead_packet &packet, std::size_t written);

    FileDescriptor fd_;
    bool is_socket_;
    std::string refusal_;
    Hints hints_;
    Event always_;
    Poller poller_;
    // The packet of which a part was written, and how much of it.
    std::vector<std::uint8_t> cut_;
    std::size_t cut_written_ = 0;
    std::optional<Error> failure_;
};

}  // namespace spead
