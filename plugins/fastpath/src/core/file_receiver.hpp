// Packets out of an open file or pipe, read in large pieces. The counterpart of FileReceiver in spead_transport_file, for files
// that are not followed.
//
// A file is read, not mapped into memory: if a mapped file were truncated meanwhile, the program would crash.
#pragma once

#include <cstddef>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"
#include "packet_framer.hpp"

namespace spead {

class FileReceiver final : public ReceiverBase {
public:
    // Reading from `fd` does not wait. What claims to be a packet of more than `max_packet_size` bytes is skipped. Throws
    // std::system_error if the system is out of file descriptors.
    FileReceiver(FileDescriptor fd, std::size_t max_packet_size);

protected:
    std::size_t try_recv(std::size_t limit, spead_batch &batch) override;
    int fileno() const noexcept override { return poller_.fileno(); }
    void release() noexcept override;

private:
    bool is_over() const;

    FileDescriptor fd_;
    PacketFramer framer_;
    bool is_pipe_;
    bool over_ = false;
    Event always_;
    Poller poller_;
    std::vector<spead_slice> slices_;
    std::vector<spead_packet> packets_;
};

}  // namespace spead
