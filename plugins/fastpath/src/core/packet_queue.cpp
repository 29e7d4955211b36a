#include "packet_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <string>

namespace spead {

void PacketQueue::push(OwnedBatch batch) {
    if (batch.num_packets() == 0) return;
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) fail(ErrorKind::refused, ECANCELED, "the queue was stopped");
        statistics_.in.add(batch);
        if (lanes_.size() > 1) batch.share();
        for (Lane &lane : lanes_) {
            lane.batches.push_back(&lane == &lanes_.back() ? std::move(batch) : batch);
            statistics_.waiting.add(lane.batches.back());
        }
        Tally &peak = statistics_.peak;
        peak.packets = std::max(peak.packets, statistics_.waiting.packets);
        peak.bytes = std::max(peak.bytes, statistics_.waiting.bytes);
    }
    // Readers that wake up on this processor run at once, and want the other lock.
    const std::shared_lock lock(readers_mutex_);
    wake_all();
}

std::optional<OwnedBatch> PacketQueue::pop(Lane &lane, Event &readable) {
    const std::lock_guard lock(mutex_);
    if (lane.batches.empty()) {
        if (!stopped_ && !ending_) {
            readable.clear();
            return std::nullopt;
        }
        stopped_ = true;
        wake_all();
        fail(ErrorKind::end_of_stream, 0, "the queue was stopped");
    }
    OwnedBatch batch = std::move(lane.batches.front());
    lane.batches.pop_front();
    statistics_.out.add(batch);
    statistics_.waiting.remove(batch);
    return batch;
}

void PacketQueue::stop() noexcept {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    wake_all();
}

void PacketQueue::set_ending(bool ending) noexcept {
    const std::lock_guard lock(mutex_);
    ending_ = ending;
    if (ending) wake_all();
}

bool PacketQueue::stopped() const noexcept {
    const std::lock_guard lock(mutex_);
    return stopped_;
}

QueueStatistics PacketQueue::statistics() const noexcept {
    const std::lock_guard lock(mutex_);
    return statistics_;
}

PacketQueue::Lane &PacketQueue::subscribe(Event &readable) {
    const std::scoped_lock lock(mutex_, readers_mutex_);
    const bool own = fanout_ && !lanes_.front().readers.empty();
    Lane &lane = own ? lanes_.emplace_back() : lanes_.front();
    lane.readers.push_back(&readable);
    if (!lane.batches.empty() || stopped_ || ending_) readable.set();
    return lane;
}

void PacketQueue::unsubscribe(Lane &lane, Event &readable) noexcept {
    const std::scoped_lock lock(mutex_, readers_mutex_);
    std::erase(lane.readers, &readable);
    if (!fanout_) return;
    for (const OwnedBatch &batch : lane.batches) {
        statistics_.discarded.add(batch);
        statistics_.waiting.remove(batch);
    }
    if (lanes_.size() == 1)
        lane.batches.clear();
    else
        lanes_.remove_if([&](const Lane &other) { return &other == &lane; });
}

void PacketQueue::wake_all() noexcept {
    for (const Lane &lane : lanes_)
        for (Event *reader : lane.readers) reader->set();
}

void QueueReader::close() noexcept {
    if (!lane_) return;
    queue_->unsubscribe(*std::exchange(lane_, nullptr), readable_);
    readable_.set();
}

QueueSender::QueueSender(std::vector<std::shared_ptr<PacketQueue>> queues)
    : SenderBase(queues.size()), queues_(std::move(queues)) {
    writable_.set();  // there is always room
}

std::size_t QueueSender::try_send(const spead_batch &batch) {
    if (batch.destination >= queues_.size())
        fail(ErrorKind::refused, EINVAL,
             "there is no destination " + std::to_string(batch.destination) + ", only " + std::to_string(queues_.size()));
    queues_[batch.destination]->push(OwnedBatch(batch, batch.num_packets));
    return batch.num_packets;
}

QueueReceiver::QueueReceiver(std::vector<std::shared_ptr<QueueReader>> readers) : readers_(std::move(readers)) {
    if (readers_.size() == 1) return;
    poller_.emplace();
    for (const auto &reader : readers_) poller_->add(reader->fileno());
}

std::size_t QueueReceiver::try_recv(std::size_t, spead_batch &batch) {
    current_ = {};
    std::size_t ended = 0;
    for (std::size_t i = 0; i < readers_.size(); i++) {
        QueueReader &reader = *readers_[turn_];
        turn_ = turn_ + 1 == readers_.size() ? 0 : turn_ + 1;
        try {
            std::optional<OwnedBatch> next = reader.pop();
            if (!next) continue;
            current_ = std::move(*next);
        } catch (const TransportException &) {
            if (++ended == readers_.size()) throw;
            continue;
        }
        batch = current_.view();
        return batch.num_packets;
    }
    return 0;
}

void QueueReceiver::release() noexcept {
    current_ = {};
    for (const auto &reader : readers_) reader->close();
}

}  // namespace spead
