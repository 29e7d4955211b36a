#include "endpoint.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace spead {

namespace {

// The cause of the error that this thread reports at present: it does not fit the table of a transport, and is only known of
// the endpoints of this library.
thread_local std::shared_ptr<void> reported_cause;

ErrorKind kind_of(std::ptrdiff_t result) {
    switch (result) {
        case SPEAD_END_OF_STREAM: return ErrorKind::end_of_stream;
        case SPEAD_CLOSED: return ErrorKind::closed;
        case SPEAD_BUSY: return ErrorKind::busy;
        case SPEAD_REFUSED: return ErrorKind::refused;
        default: return ErrorKind::broken;
    }
}

std::ptrdiff_t result_of(ErrorKind kind) noexcept {
    switch (kind) {
        case ErrorKind::end_of_stream: return SPEAD_END_OF_STREAM;
        case ErrorKind::closed: return SPEAD_CLOSED;
        case ErrorKind::busy: return SPEAD_BUSY;
        case ErrorKind::broken: return SPEAD_BROKEN;
        default: return SPEAD_REFUSED;
    }
}

[[noreturn]] void raise(std::ptrdiff_t result, spead_error &error) {
    error.message[sizeof error.message - 1] = '\0';
    throw TransportException({kind_of(result), error.error_number, error.message, std::exchange(reported_cause, nullptr)});
}

// Whether a table that says how large it is has a slot.
#define SPEAD_HAS_SLOT(table, slot) \
    ((table).struct_size >= offsetof(std::remove_cvref_t<decltype(table)>, slot) + sizeof((table).slot) && (table).slot)

[[noreturn]] void incomplete(const char *what) {
    throw std::invalid_argument(std::string("the native ") + what +
                                " has not all functions that its version of spead_transport.h asks for; rebuild the transport");
}

}  // namespace

Sender::Sender(const spead_sender &table, std::shared_ptr<void> owner, std::function<void()> on_close)
    : owner_(std::move(owner)), on_close_(std::move(on_close)), table_(&table) {
    const bool complete = SPEAD_HAS_SLOT(table, try_send) && SPEAD_HAS_SLOT(table, fileno) && SPEAD_HAS_SLOT(table, close);
    if (!complete) incomplete("sender");
}

std::size_t Sender::try_send(const spead_batch &batch) const {
    spead_error error;
    const std::ptrdiff_t result = table_->try_send(table_->self, &batch, &error);
    if (result < 0) raise(result, error);
    return std::min(static_cast<std::size_t>(result), batch.num_packets);
}

Receiver::Receiver(const spead_receiver &table, std::shared_ptr<void> owner, std::function<void()> on_close)
    : owner_(std::move(owner)), on_close_(std::move(on_close)), table_(&table) {
    const bool complete = SPEAD_HAS_SLOT(table, try_recv) && SPEAD_HAS_SLOT(table, fileno) && SPEAD_HAS_SLOT(table, close);
    if (!complete) incomplete("receiver");
}

spead_batch Receiver::try_recv(std::size_t limit) const {
    spead_error error;
    spead_batch batch{};
    batch.struct_size = sizeof batch;
    const std::ptrdiff_t result = table_->try_recv(table_->self, limit, &batch, &error);
    if (result < 0) raise(result, error);
    batch.num_packets = static_cast<std::size_t>(result);
    return batch;
}

void Receiver::release_batch() const noexcept {
    if (SPEAD_HAS_SLOT(*table_, release_batch)) table_->release_batch(table_->self);
}

double Receiver::rest() const noexcept { return SPEAD_HAS_SLOT(*table_, rest_ns) ? 1e-9 * table_->rest_ns : 0.0; }

std::map<std::string, std::uint64_t> Receiver::drops() const {
    std::map<std::string, std::uint64_t> result;
    if (!SPEAD_HAS_SLOT(*table_, drops)) return result;
    for (std::size_t index = 0;; index++) {
        const char *reason = nullptr;
        const std::uint64_t count = table_->drops(table_->self, index, &reason);
        if (!reason) return result;
        result[reason] += count;
    }
}

std::vector<std::string> Receiver::take_notices() const {
    std::vector<std::string> notices;
    if (!SPEAD_HAS_SLOT(*table_, take_notice)) return notices;
    for (spead_error notice; table_->take_notice(table_->self, &notice);) {
        notice.message[sizeof notice.message - 1] = '\0';
        notices.emplace_back(notice.message);
    }
    return notices;
}

std::ptrdiff_t EndpointBase::report(const Error &from, spead_error *to) noexcept {
    reported_cause = from.cause;
    to->error_number = from.error_number;
    const std::size_t size = std::min(from.message.size(), sizeof to->message - 1);
    std::memcpy(to->message, from.message.data(), size);
    to->message[size] = '\0';
    return result_of(from.kind);
}

SenderBase::SenderBase(std::size_t num_destinations) noexcept
    : table_{.struct_size = sizeof(spead_sender),
             .self = this,
             .num_destinations = num_destinations,
             .try_send =
                 [](void *self, const spead_batch *batch, spead_error *error) {
                     auto &sender = *static_cast<SenderBase *>(self);
                     return sender.guarded(error, [&] { return sender.try_send(*batch); });
                 },
             .fileno = [](void *self) { return static_cast<SenderBase *>(self)->fileno(); },
             .close =
                 [](void *self) {
                     auto &sender = *static_cast<SenderBase *>(self);
                     sender.close_once([&] { sender.release(); });
                 }} {}

ReceiverBase::ReceiverBase(std::uint32_t rest_ns) noexcept
    : table_{.struct_size = sizeof(spead_receiver),
             .self = this,
             .try_recv =
                 [](void *self, std::size_t limit, spead_batch *batch, spead_error *error) {
                     auto &receiver = *static_cast<ReceiverBase *>(self);
                     return receiver.guarded(error, [&] { return receiver.try_recv(limit, *batch); });
                 },
             .fileno = [](void *self) { return static_cast<ReceiverBase *>(self)->fileno(); },
             .release_batch = [](void *self) { static_cast<ReceiverBase *>(self)->release_batch(); },
             .drops = [](void *self, std::size_t index,
                         const char **reason) { return static_cast<ReceiverBase *>(self)->drops(index, *reason); },
             .close =
                 [](void *self) {
                     auto &receiver = *static_cast<ReceiverBase *>(self);
                     receiver.close_once([&] { receiver.release(); });
                 },
             .take_notice = [](void *self, spead_error *notice) { return static_cast<ReceiverBase *>(self)->take_notice(*notice); },
             .rest_ns = rest_ns} {}

int ReceiverBase::take_notice(spead_error &notice) noexcept {
    if (notices_.empty()) return 0;
    report({ErrorKind::refused, 0, std::move(notices_.front())}, &notice);
    notices_.pop_front();
    return 1;
}

}  // namespace spead
