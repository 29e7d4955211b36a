#include "receive_runner.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace spead {

namespace {

// Packets asked for at a time.
constexpr std::size_t batch_packets = 1024;
// Batches taken in on behalf of one call that wants a heap, before it looks at its time limit again.
constexpr int rounds = 1000;

}  // namespace

// A receiver and who drives it.
class ReceiveRunner::Reader final : public Task, public std::enable_shared_from_this<Reader> {
public:
    Reader(std::weak_ptr<ReceiveRunner> runner, Receiver receiver, std::shared_ptr<Worker> worker)
        : receiver(std::move(receiver)), worker(std::move(worker)), runner_(std::move(runner)) {}

    Wait step() noexcept override {
        const std::shared_ptr<ReceiveRunner> runner = runner_.lock();
        return runner ? runner->step(*this) : Paused{};
    }

    const Receiver receiver;
    const std::shared_ptr<Worker> worker;
    bool ended = false;

private:
    std::weak_ptr<ReceiveRunner> runner_;
};

ReceiveRunner::ReceiveRunner(const ReceiveConfig &config, std::shared_ptr<HeapAllocator> allocator, Log log)
    : config_(config),
      log_(std::move(log)),
      assembler_(config.assembler, std::move(allocator)),
      started_(!config.explicit_start) {
    poller_.add(ring_ready_.fileno());
}

ReceiveRunner::~ReceiveRunner() {
    ReceiveLock lock(receive_mutex_);
    close_readers();
    tell(std::move(lock));
}

void ReceiveRunner::add_reader(Receiver receiver, std::shared_ptr<Worker> worker) {
    ReceiveLock lock(receive_mutex_);
    if (closed_) {
        lock.unlock();
        receiver.close();
        receiver.tell_closed();
        return;
    }
    if (config_.explicit_start && started_)
        throw std::logic_error("with explicit_start, readers must be added before start() is called");
    readers_.push_back(std::make_shared<Reader>(weak_from_this(), std::move(receiver), std::move(worker)));
    if (started_) start_reader(readers_.back());
}

void ReceiveRunner::start() {
    const ReceiveLock lock(receive_mutex_);
    if (started_ || closed_) return;
    started_ = true;
    for (const auto &reader : readers_) start_reader(reader);
}

ReceiveRunner::Next ReceiveRunner::next(ReceivedHeap &heap) {
    std::vector<ReceivedHeap> heaps;
    const Next result = next(heaps, 1);
    if (result == Next::heap) heap = std::move(heaps.front());
    return result;
}

ReceiveRunner::Next ReceiveRunner::next(std::vector<ReceivedHeap> &heaps, std::size_t most) {
    Next result = pop(heaps, most);
    if (result == Next::empty && caller_drives_) {
        ReceiveLock lock(receive_mutex_);
        drive(1);
        tell(std::move(lock));
        result = pop(heaps, most);
    }
    return result;
}

void ReceiveRunner::put_back(std::span<ReceivedHeap> heaps) {
    if (heaps.empty()) return;
    const std::lock_guard lock(ring_mutex_);
    ring_.insert(ring_.begin(), std::make_move_iterator(heaps.begin()), std::make_move_iterator(heaps.end()));
    if (listeners_ > 0 || exported_) ring_ready_.set();
}

Waited ReceiveRunner::wait(double seconds) {
    {
        const std::lock_guard lock(ring_mutex_);
        if (!ring_.empty() || ended_) return Waited::ready;
        listeners_++;
    }
    const Waited result = wait_readable(poller_.fileno(), seconds);
    const std::lock_guard lock(ring_mutex_);
    listeners_--;
    if (listeners_ == 0 && !exported_) ring_ready_.clear();
    return result;
}

int ReceiveRunner::fileno() {
    const std::lock_guard lock(ring_mutex_);
    exported_ = true;
    if (!ring_.empty() || ended_) ring_ready_.set();
    return poller_.fileno();
}

void ReceiveRunner::stop() {
    ReceiveLock lock(receive_mutex_);
    catch_up();
    end();
    tell(std::move(lock));
}

Statistics ReceiveRunner::statistics() {
    ReceiveLock lock(receive_mutex_);
    catch_up();
    Statistics result = assembler_.statistics();
    for (const auto &[reason, count] : count_drops()) result.transport_drops += count;
    {
        const std::lock_guard ring_lock(ring_mutex_);
        result.worker_blocked += worker_blocked_;
    }
    tell(std::move(lock));
    return result;
}

std::map<std::string, std::uint64_t> ReceiveRunner::drops() {
    const ReceiveLock lock(receive_mutex_);
    return count_drops();
}

std::size_t ReceiveRunner::waiting() {
    ReceiveLock lock(receive_mutex_);
    catch_up();
    tell(std::move(lock));
    return ring_size();
}

// For a worker: take in a batch, unless the ring is full.
Wait ReceiveRunner::step(Reader &reader) noexcept {
    ReceiveLock lock(receive_mutex_);
    if (reader.ended) return Paused{};
    if (pause(reader)) return Paused{};
    receive(reader);
    const Wait result = reader.ended ? Wait{Paused{}} : Wait{Readable{reader.receiver.fileno()}};
    tell(std::move(lock));
    return result;
}

// ---------------------------------------------------------------------------------------------------------- the ring

ReceiveRunner::Next ReceiveRunner::pop(std::vector<ReceivedHeap> &heaps, std::size_t most) {
    std::vector<std::shared_ptr<Reader>> resumed;
    {
        const std::lock_guard lock(ring_mutex_);
        if (ring_.empty()) {
            if (!ended_) return Next::empty;
            if (!error_) return Next::stopped;
            const Error error = *std::exchange(error_, std::nullopt);
            throw TransportException(error);
        }
        for (; most > 0 && !ring_.empty(); most--) {
            heaps.push_back(std::move(ring_.front()));
            ring_.pop_front();
        }
        if (ring_.empty() && !ended_) ring_ready_.clear();
        if (ring_.size() <= config_.ring_heaps / 2) resumed.swap(paused_);
    }
    kick(resumed);
    return Next::heap;
}

void ReceiveRunner::push(std::vector<ReceivedHeap> &heaps) {
    if (config_.contiguous_only) std::erase_if(heaps, [](const ReceivedHeap &heap) { return !heap.complete; });
    if (heaps.empty()) return;
    const std::lock_guard lock(ring_mutex_);
    for (ReceivedHeap &heap : heaps) ring_.push_back(std::move(heap));
    heaps.clear();
    if (listeners_ > 0 || exported_) ring_ready_.set();
}

std::size_t ReceiveRunner::ring_size() {
    const std::lock_guard lock(ring_mutex_);
    return ring_.size();
}

// Whether the ring is full, and the reader therefore set aside.
bool ReceiveRunner::pause(Reader &reader) {
    const std::lock_guard lock(ring_mutex_);
    if (ring_.size() < config_.ring_heaps) return false;
    auto self = reader.shared_from_this();
    if (std::ranges::find(paused_, self) == paused_.end()) {
        worker_blocked_++;
        paused_.push_back(std::move(self));
    }
    return true;
}

void ReceiveRunner::resume() {
    std::vector<std::shared_ptr<Reader>> resumed;
    {
        const std::lock_guard lock(ring_mutex_);
        resumed.swap(paused_);
    }
    kick(resumed);
}

void ReceiveRunner::kick(const std::vector<std::shared_ptr<Reader>> &readers) {
    for (const auto &reader : readers) {
        if (reader->worker) reader->worker->kick(reader);
    }
}

// ---------------------------------------------------------------------------------------- with the receive lock held

void ReceiveRunner::start_reader(const std::shared_ptr<Reader> &reader) {
    if (reader->worker) {
        reader->worker->kick(reader);
    } else {
        poller_.add(reader->receiver.fileno());
        caller_drives_ = true;
    }
}

// Bring the readers that the caller drives to where a worker would have brought them.
void ReceiveRunner::catch_up() {
    drive(config_.ring_heaps);
    for (const auto &reader : readers_) {
        if (!reader->worker && wait_readable(reader->receiver.fileno(), 0) == Waited::ready) pause(*reader);
    }
}

// Drive the readers that have no worker until the ring holds `wanted` heaps or nothing comes.
void ReceiveRunner::drive(std::size_t wanted) {
    if (!started_) return;
    for (int round = 0; round < rounds; round++) {
        bool came = false;
        const auto readers = readers_;  // those that end leave
        for (const auto &reader : readers) {
            if (!reader->worker && !reader->ended && ring_size() < wanted) came |= receive(*reader);
        }
        if (!came) return;
    }
}

// Take in one batch; whether there was one.
bool ReceiveRunner::receive(Reader &reader) noexcept {
    try {
        const spead_batch batch = reader.receiver.try_recv(batch_packets);
        if (batch.num_packets == 0) return false;
        assembler_.add(batch, monotonic_time(), assembled_);
        reader.receiver.release_batch();
        push(assembled_);
        if (assembler_.stopped()) end();
        return true;
    } catch (const TransportException &exception) {
        if (exception.error.kind == ErrorKind::end_of_stream)
            end_reader(reader);
        else
            reader_broke(reader, exception.error);
    } catch (const std::exception &exception) {  // no memory
        reader_broke(reader, {ErrorKind::broken, 0, exception.what()});
    }
    return false;
}

void ReceiveRunner::reader_broke(Reader &reader, const Error &error) {
    errors_.push_back("a reader stops: " + error.message);
    {
        const std::lock_guard lock(ring_mutex_);
        error_ = error;
    }
    end_reader(reader);
}

void ReceiveRunner::end_reader(Reader &reader) {
    close_reader(reader.shared_from_this());
    if (config_.end_with_any || readers_.empty()) end();
}

// Close a reader and forget it, but for what it counted.
void ReceiveRunner::close_reader(std::shared_ptr<Reader> reader) {
    reader->ended = true;
    std::erase(readers_, reader);
    if (!reader->worker && started_) poller_.remove(reader->receiver.fileno());
    reader->receiver.close();
    for (const auto &[reason, count] : reader->receiver.drops()) ended_drops_[reason] += count;
    closed_readers_.push_back(std::move(reader));
}

void ReceiveRunner::close_readers() {
    while (!readers_.empty()) close_reader(readers_.back());
}

// The stream ends: nothing more comes in.
void ReceiveRunner::end() {
    if (std::exchange(closed_, true)) return;
    close_readers();
    assembler_.flush(assembled_);
    push(assembled_);
    {
        const std::lock_guard lock(ring_mutex_);
        ended_ = true;
        ring_ready_.set();
    }
    resume();
}

std::map<std::string, std::uint64_t> ReceiveRunner::count_drops() const {
    std::map<std::string, std::uint64_t> total = ended_drops_;
    for (const auto &reader : readers_)
        for (const auto &[reason, count] : reader->receiver.drops()) total[reason] += count;
    return total;
}

// Give up the lock, and tell what happened while it was held.
void ReceiveRunner::tell(ReceiveLock lock) {
    if (assembler_.notices().empty() && errors_.empty() && closed_readers_.empty()) return;
    const std::vector<std::string> warnings = assembler_.notices().take();
    const std::vector<std::string> errors = std::exchange(errors_, {});
    const std::vector<std::shared_ptr<Reader>> closed = std::exchange(closed_readers_, {});
    lock.unlock();
    for (const std::string &message : warnings) log_(false, message);
    for (const std::string &message : errors) log_(true, message);
    for (const auto &reader : closed) reader->receiver.tell_closed();
}

}  // namespace spead
