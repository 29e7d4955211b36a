#include "readers.hpp"

#include <algorithm>
#include <exception>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace spead {

namespace {

// Packets asked for at a time.
constexpr std::size_t batch_packets = 1024;
// Bytes that came in one go after which a rest is worth while, for more may come soon.
constexpr std::size_t much = 32 << 10;

std::size_t size_of(const spead_batch &batch) noexcept {
    return std::accumulate(batch.packets, batch.packets + batch.num_packets, std::size_t{0},
                           [](std::size_t sum, const spead_packet &packet) { return sum + packet.size; });
}

}  // namespace

Wait Readers::Reader::step() noexcept {
    const std::shared_ptr<Readers> runner = runner_.lock();
    return runner ? runner->step(*this) : Paused{};
}

void Readers::add_reader(Receiver receiver, std::shared_ptr<Worker> worker) {
    ReceiveLock lock(receive_mutex_);
    if (closed_) {
        lock.unlock();
        receiver.close();
        receiver.tell_closed();
        return;
    }
    if (explicit_start_ && started_)
        throw std::logic_error("with explicit_start, readers must be added before start() is called");
    readers_.push_back(std::make_shared<Reader>(weak_from_this(), std::move(receiver), std::move(worker)));
    if (started_) start_reader(readers_.back());
}

void Readers::start() {
    const ReceiveLock lock(receive_mutex_);
    if (started_ || closed_) return;
    started_ = true;
    for (const auto &reader : readers_) start_reader(reader);
}

std::map<std::string, std::uint64_t> Readers::drops() {
    const ReceiveLock lock(receive_mutex_);
    return count_drops();
}

// ---------------------------------------------------------------------------------------- with the receive lock held

void Readers::start_reader(const std::shared_ptr<Reader> &reader) {
    if (reader->worker)
        reader->kick();
    else
        watch(reader->receiver);
}

bool Readers::receive(Reader &reader) noexcept {
    const bool came = guarded(reader, [&] {
        const spead_batch batch = reader.receiver.try_recv(batch_packets);
        reader.rests = batch.num_packets == 0 && std::exchange(reader.taken, 0) >= much;
        if (batch.num_packets == 0) return false;
        assembler_.add(batch, monotonic_time(), assembled_);
        // Whoever works on a heap that is complete had better not be kept waiting for the next.
        reader.taken = assembled_.empty() ? reader.taken + size_of(batch) : 0;
        taken_in(reader);
        return true;
    });
    for (std::string &notice : reader.receiver.take_notices()) warnings_.push_back(std::move(notice));
    return came;
}

void Readers::go_on(Reader &reader) noexcept {
    guarded(reader, [&] {
        assembler_.resume(monotonic_time(), assembled_);
        taken_in(reader);
        return true;
    });
}

// Call `body`; what it throws ends the reader.
template <typename Body>
bool Readers::guarded(Reader &reader, Body body) noexcept {
    try {
        return body();
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

// A batch went into the assembler, or as much of it as there was room for.
void Readers::taken_in(Reader &reader) {
    if (!assembler_.blocked()) reader.receiver.release_batch();
    take_heaps();
    if (assembler_.chunks_stopped()) {  // by the user
        assembler_.discard_rest();
        end();
    } else if (assembler_.stopped() && !assembler_.blocked()) {
        end();
    }
}

void Readers::expire() {
    if (assembler_.next_expiry() == std::numeric_limits<double>::infinity()) return;
    assembler_.expire(monotonic_time(), assembled_);
    take_heaps();
}

Wait Readers::wait_for(const Reader &reader) const noexcept {
    if (reader.ended) return Paused{};
    if (const double rest = reader.receiver.rest(); reader.rests && rest > 0) return Delay{rest};
    const double expiry = assembler_.next_expiry();
    if (expiry == std::numeric_limits<double>::infinity()) return Readable{reader.receiver.fileno()};
    return Readable{reader.receiver.fileno(), std::max(0.0, expiry - monotonic_time())};
}

void Readers::reader_broke(Reader &reader, const Error &error) {
    assembler_.discard_rest();
    errors_.push_back("a reader stops: " + error.message);
    broke(error);
    end_reader(reader);
}

void Readers::end_reader(Reader &reader) {
    close_reader(reader.shared_from_this());
    if (end_with_any_ || readers_.empty()) end();
}

// Close a reader and forget it, but for what it counted.
void Readers::close_reader(std::shared_ptr<Reader> reader) {
    reader->ended = true;
    std::erase(readers_, reader);
    if (!reader->worker && started_) unwatch(reader->receiver);
    reader->receiver.close();
    for (const auto &[reason, count] : reader->receiver.drops()) ended_drops_[reason] += count;
    closed_readers_.push_back(std::move(reader));
}

void Readers::close_readers() {
    while (!readers_.empty()) close_reader(readers_.back());
}

void Readers::end() {
    if (std::exchange(closed_, true)) return;
    close_readers();
    assembler_.flush(assembled_);
    take_heaps();
    ended_now();
}

Statistics Readers::count() const {
    Statistics result = assembler_.statistics();
    for (const auto &[reason, count] : count_drops()) result.transport_drops += count;
    return result;
}

std::map<std::string, std::uint64_t> Readers::count_drops() const {
    std::map<std::string, std::uint64_t> total = ended_drops_;
    for (const auto &reader : readers_)
        for (const auto &[reason, count] : reader->receiver.drops()) total[reason] += count;
    return total;
}

void Readers::tell(ReceiveLock lock) {
    if (assembler_.notices().empty() && warnings_.empty() && errors_.empty() && closed_readers_.empty()) return;
    std::vector<std::string> warnings = assembler_.notices().take();
    warnings.insert(warnings.end(), warnings_.begin(), warnings_.end());
    warnings_.clear();
    const std::vector<std::string> errors = std::exchange(errors_, {});
    const std::vector<std::shared_ptr<Reader>> closed = std::exchange(closed_readers_, {});
    lock.unlock();
    for (const std::string &message : warnings) log_(false, message);
    for (const std::string &message : errors) log_(true, message);
    for (const auto &reader : closed) reader->receiver.tell_closed();
}

}  // namespace spead
