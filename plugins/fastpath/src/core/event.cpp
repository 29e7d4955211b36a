#include "event.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <system_error>

namespace spead {

namespace {

int check(int result, const char *what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

// Seconds as the system wants them; none if they are negative.
timespec time_of(double seconds) noexcept {
    seconds = std::clamp(seconds, 0.0, 1e9);
    timespec time{};
    time.tv_sec = static_cast<time_t>(seconds);
    time.tv_nsec = static_cast<long>((seconds - std::floor(seconds)) * 1e9);
    return time;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
}

Event::Event() : fd_(check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {}

void Event::set() noexcept {
    if (set_.load(std::memory_order_relaxed) || set_.exchange(true, std::memory_order_relaxed)) return;
    const std::uint64_t one = 1;
    // Can only fail if the counter were to overflow, and it is 0.
    [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof one);
}

void Event::clear() noexcept {
    if (!set_.load(std::memory_order_relaxed)) return;
    std::uint64_t count;
    // If there is nothing to read, somebody is about to write it: then it stays set.
    if (read(fd_.get(), &count, sizeof count) > 0) set_.store(false, std::memory_order_relaxed);
}

Poller::Poller() : fd_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

void Poller::add(int fd, bool writable) {
    epoll_event event{};
    event.events = writable ? EPOLLOUT : EPOLLIN;
    event.data.fd = fd;
    check(epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void Poller::remove(int fd) noexcept { epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, nullptr); }

std::size_t Poller::wait(std::span<epoll_event> events, double seconds) noexcept {
    const auto room = static_cast<int>(events.size());
#if defined(SYS_epoll_pwait2) && __SIZEOF_LONG__ == 8
    const timespec limit = time_of(seconds);
    const long count = syscall(SYS_epoll_pwait2, fileno(), events.data(), room, seconds < 0 ? nullptr : &limit, nullptr, 0);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != ENOSYS && errno != EPERM) return 0;
#endif
    // A kernel or a sandbox from before Linux 5.11: epoll_wait counts in milliseconds, too coarse to keep a rate.
    if (seconds > 0) wait_readable(fileno(), seconds);
    return static_cast<std::size_t>(std::max(0, epoll_wait(fileno(), events.data(), room, seconds < 0 ? -1 : 0)));
}

std::vector<int> Poller::ready() {
    std::array<epoll_event, 64> events;
    std::vector<int> members(wait(events, 0));
    for (std::size_t i = 0; i < members.size(); i++) members[i] = events[i].data.fd;
    return members;
}

Waited wait_readable(int fd, double seconds) noexcept {
    pollfd entry{fd, POLLIN, 0};
    const timespec limit = time_of(seconds);
    const int count = ppoll(&entry, 1, seconds < 0 ? nullptr : &limit, nullptr);
    if (count > 0) return Waited::ready;
    return count == 0 ? Waited::timed_out : Waited::interrupted;
}

double monotonic_time() noexcept {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace spead
