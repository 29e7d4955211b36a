// Drives receivers into an assembler: what all runners of receiving streams have in common.
//
// Locks, in the order in which they are taken: receive_mutex_ guards the assembler and the readers; what a derived class has
// of its own comes after it. Nobody holds it while waiting, calling Python's log, or closing Python's endpoints.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"
#include "heap_assembler.hpp"
#include "workers.hpp"

namespace spead {

class Readers : public std::enable_shared_from_this<Readers> {
public:
    // Something for the log: a warning, or an error. No lock is held.
    using Log = std::function<void(bool is_error, const std::string &)>;

    virtual ~Readers() = default;

    // Receive from `receiver` too: `worker` drains it, or if there is none, whoever asks for heaps. The receiver is closed if
    // the stream has ended. Throws std::logic_error if it comes too late (explicit_start); the receiver is then not closed.
    void add_reader(Receiver receiver, std::shared_ptr<Worker> worker);
    void start();
    std::map<std::string, std::uint64_t> drops();

protected:
    using ReceiveLock = std::unique_lock<std::mutex>;
    // Batches that a worker takes in before it looks at its other tasks again.
    static constexpr int rounds_of_a_worker = 8;

    // A receiver and who drives it.
    class Reader final : public Task, public std::enable_shared_from_this<Reader> {
    public:
        Reader(std::weak_ptr<Readers> runner, Receiver receiver, std::shared_ptr<Worker> worker)
            : receiver(std::move(receiver)), worker(std::move(worker)), runner_(std::move(runner)) {}

        Wait step() noexcept override;
        // Let the worker, if it has one, look again.
        void kick() {
            if (worker) worker->kick(shared_from_this());
        }

        const Receiver receiver;
        const std::shared_ptr<Worker> worker;
        bool ended = false;
        // Whether to rest before waiting, and how many bytes came in since it last was empty or completed a heap.
        bool rests = false;
        std::size_t taken = 0;

    private:
        std::weak_ptr<Readers> runner_;
    };

    // `explicit_start`: nothing is received before `start`. `end_with_any`: the stream ends with the first of its readers that
    // ends, rather than with the last.
    template <typename HeapMemory>
    Readers(const AssemblerConfig &config, HeapMemory memory, bool explicit_start, bool end_with_any, Log log)
        : assembler_(config, std::move(memory)),
          explicit_start_(explicit_start),
          end_with_any_(end_with_any),
          log_(std::move(log)),
          started_(!explicit_start) {}

    // For a worker: take in a batch, unless there is no room for what comes of it.
    virtual Wait step(Reader &reader) noexcept = 0;

    // --------------------------------------------------------------------------------------- with the receive lock held

    // Heaps came out of the assembler, in `assembled_`.
    virtual void take_heaps() = 0;
    // A reader without a worker starts or ends.
    virtual void watch(const Receiver &) {}
    virtual void unwatch(const Receiver &) noexcept {}
    // A reader cannot go on for this reason, of which the log is told in any case.
    virtual void broke(const Error &) {}
    // The stream has ended, and the assembler's last heaps have been taken.
    virtual void ended_now() = 0;

    // Take in one batch; whether there was one.
    bool receive(Reader &reader) noexcept;
    // Take in the rest of a batch.
    void go_on(Reader &reader) noexcept;
    // Let go of heaps that are too old.
    void expire();
    // What a reader's worker waits for, after a step.
    Wait wait_for(const Reader &reader) const noexcept;
    void close_readers();
    // The stream ends: nothing more comes in.
    void end();
    // The assembler's, and what the transports dropped.
    Statistics count() const;
    // Give up the lock, and tell what happened while it was held.
    void tell(ReceiveLock lock);

    bool started() const noexcept { return started_; }

    std::mutex receive_mutex_;
    HeapAssembler assembler_;
    std::vector<std::shared_ptr<Reader>> readers_;
    std::vector<ReceivedHeap> assembled_;

private:
    void start_reader(const std::shared_ptr<Reader> &reader);
    template <typename Body>
    bool guarded(Reader &reader, Body body) noexcept;
    void taken_in(Reader &reader);
    void reader_broke(Reader &reader, const Error &error);
    void end_reader(Reader &reader);
    void close_reader(std::shared_ptr<Reader> reader);
    std::map<std::string, std::uint64_t> count_drops() const;

    const bool explicit_start_;
    const bool end_with_any_;
    const Log log_;
    // Of readers that ended.
    std::map<std::string, std::uint64_t> ended_drops_;
    // To be told when the lock is given up.
    std::vector<std::string> warnings_;
    std::vector<std::string> errors_;
    std::vector<std::shared_ptr<Reader>> closed_readers_;
    bool started_;
    bool closed_ = false;
};

}  // namespace spead
