#include "packet_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <string>

namespace spead {

void PacketQueue::push(OwnedBatch batch) {
    if (batch.num_packets() == 0) return;
    const std::lock_guard lock(mutex_);
    if (stopped_) fail(ErrorKind::refused, ECANCELED, "the queue was stopped");
    statistics_.in.add(batch);
    batches_.push_back(std::move(batch));
    Tally &peak = statistics_.peak;
    peak.packets = std::max(peak.packets, statistics_.in.packets - statistics_.out.packets);
    peak.bytes = std::max(peak.bytes, statistics_.in.bytes - statistics_.out.bytes);
    for (Event *reader : readers_) reader->set();
}

std::optional<OwnedBatch> PacketQueue::pop() {
    const std::lock_guard lock(mutex_);
    return take();
}

std::optional<OwnedBatch> PacketQueue::pop_or_clear(Event &readable) {
    const std::lock_guard lock(mutex_);
    std::optional<OwnedBatch> batch = take();
    if (!batch) readable.clear();
    return batch;
}

std::optional<OwnedBatch> PacketQueue::take() {
    if (batches_.empty()) {
        if (!stopped_ && !ending_) return std::nullopt;
        stopped_ = true;
        wake_all();
        fail(ErrorKind::end_of_stream, 0, "the queue was stopped");
    }
    OwnedBatch batch = std::move(batches_.front());
    batches_.pop_front();
    statistics_.out.add(batch);
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

void PacketQueue::subscribe(Event &readable) {
    const std::lock_guard lock(mutex_);
    readers_.push_back(&readable);
    if (!batches_.empty() || stopped_ || ending_) readable.set();
}

void PacketQueue::unsubscribe(Event &readable) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase(readers_, &readable);
}

void PacketQueue::wake_all() noexcept {
    for (Event *reader : readers_) reader->set();
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

QueueReceiver::QueueReceiver(std::vector<std::shared_ptr<PacketQueue>> queues) : queues_(std::move(queues)) {
    for (const auto &queue : queues_) queue->subscribe(readable_);
}

QueueReceiver::~QueueReceiver() { unsubscribe(); }

void QueueReceiver::unsubscribe() noexcept {
    if (!std::exchange(subscribed_, false)) return;
    for (const auto &queue : queues_) queue->unsubscribe(readable_);
}

std::size_t QueueReceiver::try_recv(std::size_t, spead_batch &batch) {
    current_ = {};
    const bool single = queues_.size() == 1;
    // With several queues: clear first and look afterwards, for what comes in between sets it again.
    if (!single) readable_.clear();
    std::size_t ended = 0;
    for (std::size_t i = 0; i < queues_.size(); i++) {
        PacketQueue &queue = *queues_[turn_];
        turn_ = turn_ + 1 == queues_.size() ? 0 : turn_ + 1;
        try {
            std::optional<OwnedBatch> next = single ? queue.pop_or_clear(readable_) : queue.pop();
            if (!next) continue;
            current_ = std::move(*next);
        } catch (const TransportException &exception) {
            if (++ended < queues_.size()) continue;
            readable_.set();
            throw;
        }
        if (!single) readable_.set();
        batch = current_.view();
        return batch.num_packets;
    }
    return 0;
}

void QueueReceiver::release() noexcept {
    unsubscribe();
    current_ = {};
    readable_.set();
}

}  // namespace spead
