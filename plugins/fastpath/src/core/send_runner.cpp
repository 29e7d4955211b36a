#include "send_runner.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <utility>

namespace spead {

namespace {

// A wait shorter than this, in seconds, is not worth going to sleep for.
constexpr double shortest_wait = 20e-6;
// Batches that are sent with the lock held, before others get a chance to take it.
constexpr int batches_at_a_time = 16;

Error error_of(const std::exception &exception) {
    if (const auto *transport = dynamic_cast<const TransportException *>(&exception)) return transport->error;
    if (dynamic_cast<const std::invalid_argument *>(&exception)) return {ErrorKind::invalid_argument, 0, exception.what()};
    return {ErrorKind::refused, 0, exception.what()};
}

}  // namespace

SendRunner::SendRunner(Sender sender, const SendConfig &config, Callbacks callbacks)
    : sender_(std::move(sender)), config_(config), callbacks_(std::move(callbacks)), pacer_(config.burst_rate_ratio, config.encoder.burst_size) {}

SendRunner::~SendRunner() {
    if (closed_) return;
    sender_.close();
    sender_.tell_closed();
}

bool SendRunner::begin(const std::shared_ptr<SendGroup> &group) {
    Lock lock(mutex_);
    try {
        add(group);
    } catch (const std::exception &exception) {
        finish(group, error_of(exception));
        tell(std::move(lock));
        throw;
    }
    pump();
    tell(std::move(lock));
    return group->done();
}

Waited SendRunner::drive(const SendGroup &group, double deadline) {
    while (!group.done()) {
        Lock lock(mutex_);
        const std::optional<Wait> wait = group.done() ? std::nullopt : pump();
        tell(std::move(lock));
        if (!wait || group.done()) continue;
        if (block(*wait, deadline) == Waited::interrupted) return Waited::interrupted;
        if (deadline >= 0 && !group.done() && monotonic_time() >= deadline) return Waited::timed_out;
    }
    return Waited::ready;
}

void SendRunner::abandon(const std::shared_ptr<SendGroup> &group) {
    const Lock lock(mutex_);
    if (!group->done()) retire(group, Error{ErrorKind::timed_out, 0, "the rest of the group is not sent"});
}

bool SendRunner::submit(const std::shared_ptr<SendGroup> &group) {
    Lock lock(mutex_);
    group->submitted_ = true;
    bool driven = true;
    try {
        add(group);
        if (!driven_ && pump()) driven = drive_in_background();
    } catch (const std::exception &exception) {
        if (std::find(groups_.begin(), groups_.end(), group) != groups_.end())
            retire(group, error_of(exception));
        else
            finish(group, error_of(exception));
    }
    tell(std::move(lock));
    return driven;
}

void SendRunner::drive_with(std::shared_ptr<Worker> worker, std::shared_ptr<void> keep) {
    const Lock lock(mutex_);
    if (!worker_) {
        worker_ = std::move(worker);
        kept_ = std::move(keep);
    }
    if (!driven_) drive_in_background();
}

Waited SendRunner::flush(double seconds) {
    const double deadline = seconds < 0 ? -1.0 : monotonic_time() + seconds;
    Waited waited = Waited::ready;
    Lock lock(mutex_);
    while (!groups_.empty() && waited == Waited::ready) {
        flushing_++;
        idle_.clear();
        lock.unlock();
        waited = wait_readable(idle_.fileno(), deadline < 0 ? -1.0 : std::max(0.0, deadline - monotonic_time()));
        lock.lock();
        flushing_--;
    }
    return groups_.empty() ? Waited::ready : waited;
}

void SendRunner::close() {
    closing_ = true;
    Lock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    closing_event_.set();
    while (!groups_.empty()) retire(groups_.front(), Error{ErrorKind::closed, 0, "the stream was closed before the heap was sent"});
    if (worker_) worker_->kick(shared_from_this());
    tell(std::move(lock));
    sender_.close();
    sender_.tell_closed();
}

SendStatistics SendRunner::statistics() const {
    const Lock lock(mutex_);
    return statistics_;
}

Wait SendRunner::step() noexcept {
    Lock lock(mutex_);
    const std::optional<Wait> wait = pump();
    driven_ = wait.has_value();
    tell(std::move(lock));
    return wait.value_or(Paused{});
}

// ------------------------------------------------------------------------------------------------ with the lock held

void SendRunner::add(const std::shared_ptr<SendGroup> &group) {
    const std::size_t count = group->heaps_.size();
    const std::uint64_t waiting = statistics_.heaps_waiting + count;
    statistics_.peak_waiting = std::max(statistics_.peak_waiting, waiting);
    if (closed_) fail(ErrorKind::closed, 0, "the stream is closed");
    if (waiting > config_.max_heaps) {
        const std::string limit = "max_heaps=" + std::to_string(config_.max_heaps);
        const double now = monotonic_time();
        if (notices_.due(Notices::queue_full, now)) notices_.add(Notices::queue_full, now, "heaps not sent: " + limit + " are waiting");
        fail(ErrorKind::queue_full, EAGAIN,
             std::to_string(waiting - count) + " heaps are waiting and " + std::to_string(count) + " more would exceed " + limit +
                 " in send.StreamConfig");
    }
    group->encoder_.emplace(group->heaps_, group->mode_, config_.encoder);
    starting_ |= groups_.empty();
    groups_.push_back(group);
    statistics_.heaps_waiting = waiting;
}

// Send until there is nothing left (nothing) or something to wait for.
std::optional<Wait> SendRunner::pump() noexcept {
    for (int batches = 0; !groups_.empty(); batches++) {
        if (batches == batches_at_a_time || closing_) return Delay{0};
        const std::shared_ptr<SendGroup> group = groups_.front();
        try {
            if (batch_sent_ < batch_.num_packets() || next_batch(*group)) {
                if (const std::optional<Wait> wait = send_some(*group)) return wait;
            } else {
                retire(group, std::nullopt);
                batches--;
            }
        } catch (const std::exception &exception) {
            fail_front(error_of(exception));
        }
    }
    return std::nullopt;
}

bool SendRunner::next_batch(SendGroup &group) {
    batch_sent_ = 0;
    return group.encoder_->next(batch_);
}

std::optional<Wait> SendRunner::send_some(SendGroup &group) {
    paced_ |= batch_.rate() > 0;
    const double now = paced_ ? monotonic_time() : 0.0;
    if (paced_ && std::exchange(starting_, false)) pacer_.begin(now);
    const std::uint64_t rest = batch_.size_of(batch_sent_, batch_.num_packets());
    if (const double delay = paced_ ? pacer_.delay(now, rest, batch_.rate()) : 0.0; delay > shortest_wait) return Delay{delay};
    const std::size_t count = sender_.try_send(batch_.view(batch_sent_));
    if (count == 0) return Readable{sender_.fileno()};
    const std::uint64_t bytes = batch_.size_of(batch_sent_, batch_sent_ + count);
    if (paced_) pacer_.sent(now, bytes, batch_.rate());
    group.bytes_ += bytes;
    batch_sent_ += count;
    return std::nullopt;
}

// The first group cannot be sent; nor can the others if the transport broke.
void SendRunner::fail_front(Error error) {
    retire(groups_.front(), error);
    if (!error.is_fatal()) return;
    while (!groups_.empty()) retire(groups_.front(), error);
}

void SendRunner::retire(const std::shared_ptr<SendGroup> &retired, std::optional<Error> error) {
    const std::shared_ptr<SendGroup> group = retired;  // may refer into groups_
    if (groups_.front() == group) {
        batch_sent_ = batch_.num_packets();
        groups_.pop_front();
    } else {
        groups_.erase(std::find(groups_.begin(), groups_.end(), group));
    }
    statistics_.heaps_waiting -= group->heaps_.size();
    group->encoder_.reset();
    if (groups_.empty() && flushing_ > 0) idle_.set();
    finish(group, std::move(error));
}

void SendRunner::finish(const std::shared_ptr<SendGroup> &group, std::optional<Error> error) {
    const bool refused = error && error->kind == ErrorKind::queue_full;
    (!error ? statistics_.heaps_sent : refused ? statistics_.heaps_refused : statistics_.heaps_failed) += group->heaps_.size();
    statistics_.bytes_sent += group->bytes_;
    group->error_ = std::move(error);
    group->done_.store(true, std::memory_order_release);
    if (group->submitted_) finished_.push_back(group);
}

bool SendRunner::drive_in_background() {
    if (!worker_) return false;
    driven_ = true;
    worker_->kick(shared_from_this());
    return true;
}

// Give up the lock, and tell what happened while it was held.
void SendRunner::tell(Lock lock) {
    SendGroups finished = std::exchange(finished_, {});
    const std::vector<std::string> notices = notices_.take();
    lock.unlock();
    if (!notices.empty()) callbacks_.log(notices);
    if (!finished.empty()) callbacks_.finished(std::move(finished));
}

// ----------------------------------------------------------------------------------------------------------- waiting

Waited SendRunner::block(const Wait &wait, double deadline) {
    const double left = deadline < 0 ? -1.0 : std::max(0.0, deadline - monotonic_time());
    if (const auto *readable = std::get_if<Readable>(&wait)) return wait_readable(readable->fd, left);
    const double seconds = std::get<Delay>(wait).seconds;
    if (seconds <= 0) return Waited::ready;
    return wait_readable(closing_event_.fileno(), left < 0 ? seconds : std::min(seconds, left));
}

}  // namespace spead
