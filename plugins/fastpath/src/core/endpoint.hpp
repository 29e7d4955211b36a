// Endpoints: from the table of a transport to C++ and back.
//
// Runners use `Sender` and `Receiver`, which hold a table and whatever keeps it valid. The transports of this library
// derive from `SenderBase` and `ReceiverBase`, which offer the same tables that any other transport offers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "spead_transport.h"

namespace spead {

// A packet sender of any origin.
class Sender {
public:
    // `owner` keeps the table valid. Throws std::invalid_argument if a slot is missing that every table has.
    // `on_close`: to be called after it was closed, without a lock held.
    Sender(const spead_sender &table, std::shared_ptr<void> owner, std::function<void()> on_close = [] {});

    std::size_t num_destinations() const noexcept { return table_->num_destinations; }
    // Throws TransportException.
    std::size_t try_send(const spead_batch &batch) const;
    int fileno() const noexcept { return table_->fileno(table_->self); }
    void close() const noexcept { table_->close(table_->self); }
    void tell_closed() const { on_close_(); }

private:
    std::shared_ptr<void> owner_;
    std::function<void()> on_close_;
    const spead_sender *table_;
};

// A packet receiver of any origin.
class Receiver {
public:
    Receiver(const spead_receiver &table, std::shared_ptr<void> owner, std::function<void()> on_close = [] {});

    // The batch is empty if nothing is there now. Throws TransportException, also at the end of the stream.
    spead_batch try_recv(std::size_t limit) const;
    int fileno() const noexcept { return table_->fileno(table_->self); }
    void release_batch() const noexcept;
    // Seconds to rest when much of a heap came and nothing more is there, before waiting; 0 for none.
    double rest() const noexcept;
    std::map<std::string, std::uint64_t> drops() const;
    // What the user should know, and was not told yet.
    std::vector<std::string> take_notices() const;
    void close() const noexcept { table_->close(table_->self); }
    void tell_closed() const { on_close_(); }

private:
    std::shared_ptr<void> owner_;
    std::function<void()> on_close_;
    const spead_receiver *table_;
};

// What the endpoints of this library share: one user at a time, and how to close.
class EndpointBase {
protected:
    ~EndpointBase() = default;
    static std::ptrdiff_t report(const Error &from, spead_error *to) noexcept;

    // Close once, when nobody is inside.
    template <typename Release>
    void close_once(Release release) noexcept {
        closed_ = true;
        const std::lock_guard lock(in_use_);
        if (!std::exchange(released_, true)) release();
    }
    // Call `body` unless another caller is inside, or the endpoint is closed; failures go to `error`.
    template <typename Body>
    std::ptrdiff_t guarded(spead_error *error, Body body) noexcept {
        try {
            const std::unique_lock lock(in_use_, std::try_to_lock);
            if (closed_) fail(ErrorKind::closed, 0, "the endpoint is closed");  // the other caller may be in close_once
            if (!lock) fail(ErrorKind::busy, 0, "two callers at the same time");
            return static_cast<std::ptrdiff_t>(body());
        } catch (const TransportException &exception) {
            return report(exception.error, error);
        } catch (const std::exception &exception) {  // no memory
            return report({ErrorKind::refused, 0, exception.what()}, error);
        }
    }

private:
    std::mutex in_use_;
    std::atomic<bool> closed_{false};
    bool released_ = false;
};

class SenderBase : public EndpointBase {
public:
    explicit SenderBase(std::size_t num_destinations) noexcept;
    virtual ~SenderBase() = default;
    const spead_sender &table() const noexcept { return table_; }

protected:
    // See spead_transport.h; failures are thrown as TransportException.
    virtual std::size_t try_send(const spead_batch &batch) = 0;
    virtual int fileno() const noexcept = 0;
    // Nobody is inside, and nobody will be; make the file descriptor readable.
    virtual void release() noexcept = 0;

private:
    spead_sender table_;
};

// The rest of a receiver on a socket. At full speed some 64 KiB come every 8 us, and to be woken for each costs the sender a
// third as much as sending it.
inline constexpr std::uint32_t socket_rest_ns = 20'000;

class ReceiverBase : public EndpointBase {
public:
    // `rest_ns`: see spead_transport.h.
    explicit ReceiverBase(std::uint32_t rest_ns = 0) noexcept;
    virtual ~ReceiverBase() = default;
    const spead_receiver &table() const noexcept { return table_; }

protected:
    virtual std::size_t try_recv(std::size_t limit, spead_batch &batch) = 0;
    virtual int fileno() const noexcept = 0;
    virtual void release_batch() noexcept {}
    virtual std::uint64_t drops(std::size_t index, const char *&reason) const noexcept {
        (void)index;
        reason = nullptr;
        return 0;
    }
    virtual void release() noexcept = 0;
    // For try_recv: something that the user should know.
    void notify(std::string notice) { notices_.push_back(std::move(notice)); }

private:
    int take_notice(spead_error &notice) noexcept;

    spead_receiver table_;
    std::deque<std::string> notices_;
};

template <typename Endpoint>
Sender as_sender(std::shared_ptr<Endpoint> endpoint, std::function<void()> on_close = [] {}) {
    const spead_sender &table = endpoint->table();
    return {table, std::move(endpoint), std::move(on_close)};
}

template <typename Endpoint>
Receiver as_receiver(std::shared_ptr<Endpoint> endpoint, std::function<void()> on_close = [] {}) {
    const spead_receiver &table = endpoint->table();
    return {table, std::move(endpoint), std::move(on_close)};
}

}  // namespace spead
