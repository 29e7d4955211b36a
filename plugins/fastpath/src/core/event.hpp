// File descriptors that poll readable: what everybody waits on.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace spead {

class FileDescriptor {
public:
    FileDescriptor() = default;
    explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
    FileDescriptor(FileDescriptor &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FileDescriptor &operator=(FileDescriptor other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~FileDescriptor();

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_ = -1;
};

// A condition that is set and cleared. Whoever owns the state behind it clears it under the lock that guards that state,
// having looked at it, and sets it when the state has changed, under the lock or after it: then no report is late. (Whom it
// wakes may run before `set` returns, and wants the lock.) Repeating either costs nothing.
class Event {
public:
    // Throws std::system_error if the system is out of file descriptors.
    Event();

    int fileno() const noexcept { return fd_.get(); }
    bool is_set() const noexcept { return set_.load(std::memory_order_relaxed); }
    void set() noexcept;
    void clear() noexcept;

private:
    FileDescriptor fd_;
    std::atomic<bool> set_{false};
};

// An epoll instance: polls readable itself as soon as one of its members is ready (epoll(7)), which makes one
// descriptor of several.
class Poller {
public:
    // Throws std::system_error if the system is out of file descriptors.
    Poller();

    int fileno() const noexcept { return fd_.get(); }
    // Throw std::system_error if the system refuses.
    void add(int fd, bool writable = false);
    void remove(int fd) noexcept;
    // Those of its members that are ready, in `events`, and how many they are; waits for the first one, but no longer than
    // `seconds` (negative: for ever).
    std::size_t wait(std::span<epoll_event> events, double seconds) noexcept;
    // Some of its members that are ready now: if not all of them, others than at the next call.
    std::vector<int> ready();

private:
    FileDescriptor fd_;
};

enum class Waited { ready, timed_out, interrupted };

// Block until `fd` polls readable or `seconds` are over (negative: for ever). A signal ends the wait, so that its handler
// can run.
Waited wait_readable(int fd, double seconds) noexcept;

// Seconds of the monotonic clock.
double monotonic_time() noexcept;

}  // namespace spead
