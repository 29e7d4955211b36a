#include "stream_sender.hpp"

#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace spead {

namespace {

// Most pieces of memory that the system takes at a time.
constexpr std::size_t max_slices = IOV_MAX;
// Bytes written at a time, unless one packet has more. (Measured over TCP on one machine: with 64 KiB the receiver works while
// the sender does, and is woken less often; a whole MiB at a time is slower by a third.)
constexpr std::size_t piece_bytes = std::size_t{1} << 16;

bool is_equal(const spead_packet &packet, const std::vector<std::uint8_t> &bytes) {
    if (packet.size != bytes.size()) return false;
    const std::uint8_t *at = bytes.data();
    for (std::size_t s = 0; s < packet.num_slices; s++) {
        const spead_slice &slice = packet.slices[s];
        if (slice.size > 0 && std::memcmp(at, slice.data, slice.size) != 0) return false;
        at += slice.size;
    }
    return true;
}

// How many of the packets from number `first` on the system takes at a time: at least one, though perhaps not the whole of it.
std::size_t count_writable(const spead_batch &batch, std::size_t first) noexcept {
    const spead_slice *begin = batch.packets[first].slices;
    const auto slices_to = [&](std::size_t last) {
        return static_cast<std::size_t>(batch.packets[last].slices + batch.packets[last].num_slices - begin);
    };
    std::size_t last = std::min(batch.num_packets, first + max_slices) - 1;
    while (last > first && slices_to(last) > max_slices) last -= std::min(last - first, (slices_to(last) - max_slices + 1) / 2);
    std::size_t count = 1;
    std::size_t bytes = batch.packets[first].size;
    while (first + count <= last && (bytes += batch.packets[first + count].size) <= piece_bytes) count++;
    return count;
}

}  // namespace

StreamSender::StreamSender(FileDescriptor fd, bool is_socket, std::string refusal, Hints hints)
    : SenderBase(1), fd_(std::move(fd)), is_socket_(is_socket), refusal_(std::move(refusal)), hints_(std::move(hints)) {
    poller_.add(always_.fileno());
    try {
        poller_.add(fd_.get(), true);
    } catch (const std::system_error &error) {
        if (error.code().value() != EPERM) throw;
        always_.set();  // epoll_ctl(2): a file that never waits
    }
}

std::size_t StreamSender::try_send(const spead_batch &batch) {
    if (batch.destination != 0)
        fail(ErrorKind::refused, EINVAL, "there is no destination " + std::to_string(batch.destination) + ", only 0");
    std::size_t taken = 0;
    if (!cut_.empty() && finish_cut()) {
        if (batch.num_packets > 0 && is_equal(batch.packets[0], cut_)) taken = 1;
        cut_.clear();
    }
    while (cut_.empty() && !failure_ && taken < batch.num_packets) {
        const std::size_t last = taken + count_writable(batch, taken);
        const spead_slice *slices = batch.packets[taken].slices;
        const auto count = static_cast<std::size_t>(batch.packets[last - 1].slices + batch.packets[last - 1].num_slices - slices);
        std::size_t written = write(slices, std::min(count, max_slices));
        while (taken < last && written >= batch.packets[taken].size) written -= batch.packets[taken++].size;
        if (taken == last) continue;
        if (written == 0) break;
        cut(batch.packets[taken], written);
        if (count <= max_slices || !finish_cut()) break;
        taken++;
        cut_.clear();
    }
    // What went wrong behind the first packet is for the next call to say.
    if (failure_ && taken == 0) throw TransportException(*failure_);
    return taken;
}

// Write more of the packet that was cut; whether that was all of it.
bool StreamSender::finish_cut() {
    const spead_slice rest{cut_.data() + cut_written_, cut_.size() - cut_written_};
    cut_written_ += write(&rest, 1);
    return cut_written_ == cut_.size();
}

void StreamSender::cut(const spead_packet &packet, std::size_t written) {
    cut_written_ = written;
    for (std::size_t s = 0; s < packet.num_slices; s++) {
        const auto *data = static_cast<const std::uint8_t *>(packet.slices[s].data);
        cut_.insert(cut_.end(), data, data + packet.slices[s].size);
    }
}

// Write what the system takes; how many bytes that were. Notes a failure.
std::size_t StreamSender::write(const spead_slice *slices, std::size_t count) {
    if (failure_) return 0;
    auto *vectors = reinterpret_cast<iovec *>(const_cast<spead_slice *>(slices));
    msghdr header{};
    header.msg_iov = vectors;
    header.msg_iovlen = count;
    ssize_t written;
    do {
        written = is_socket_ ? sendmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL)
                             : writev(fd_.get(), vectors, static_cast<int>(count));
    } while (written < 0 && errno == EINTR);
    if (written >= 0) return static_cast<std::size_t>(written);
    if (errno != EAGAIN) {
        const auto hint = hints_.find(errno);
        failure_ = Error{ErrorKind::broken, errno, with_hint(refusal_, hint == hints_.end() ? std::string() : hint->second)};
    }
    return 0;
}

void StreamSender::release() noexcept {
    poller_.remove(fd_.get());
    fd_ = {};
    always_.set();
}

}  // namespace spead
