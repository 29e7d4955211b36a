#include "file_receiver.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace spead {

FileReceiver::FileReceiver(FileDescriptor fd, std::size_t max_packet_size) : fd_(std::move(fd)), framer_(max_packet_size) {
    struct stat status{};
    if (fstat(fd_.get(), &status) < 0) throw std::system_error(errno, std::generic_category(), "fstat");
    is_pipe_ = S_ISFIFO(status.st_mode);
    poller_.add(always_.fileno());
    try {
        poller_.add(fd_.get());
    } catch (const std::system_error &error) {
        if (error.code().value() != EPERM) throw;
        always_.set();  // epoll_ctl(2): a file that never waits
    }
}

std::size_t FileReceiver::try_recv(std::size_t, spead_batch &batch) {
    slices_.clear();
    while (slices_.empty() && !over_) {
        const std::span<std::uint8_t> room = framer_.room();
        const ssize_t count = read(fd_.get(), room.data(), room.size());
        if (count > 0) {
            framer_.add(static_cast<std::size_t>(count), slices_);
        } else if (count == 0) {
            if (!is_over()) return 0;
            over_ = true;
            always_.set();
            framer_.finish(slices_);
        } else if (errno == EAGAIN) {
            return 0;
        } else if (errno != EINTR) {
            fail(ErrorKind::broken, errno, "cannot read");
        }
    }
    if (slices_.empty()) fail(ErrorKind::end_of_stream, 0, "the end of the file");
    packets_.resize(slices_.size());
    for (std::size_t i = 0; i < slices_.size(); i++) packets_[i] = {&slices_[i], 1, slices_[i].size};
    batch.packets = packets_.data();
    return packets_.size();
}

// Whether nothing will follow, now that everything was read that is there. Reading cannot tell that a pipe's writers are gone
// from there having been none yet.
bool FileReceiver::is_over() const {
    if (!is_pipe_) return true;
    pollfd entry{fd_.get(), 0, 0};  // POLLHUP is reported anyway (poll(2))
    return poll(&entry, 1, 0) > 0;
}

void FileReceiver::release() noexcept {
    poller_.remove(fd_.get());
    fd_ = {};
    always_.set();
}

}  // namespace spead
