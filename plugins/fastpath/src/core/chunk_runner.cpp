#include "chunk_runner.hpp"

namespace spead {

// Knows whose batch is being taken in, or waits.
class ChunkRunner::Member final : public WindowMember {
public:
    using WindowMember::WindowMember;

    void wake() noexcept override {
        if (const std::shared_ptr<Reader> reader = current()) reader->kick();
    }
    std::shared_ptr<Reader> current() const {
        const std::lock_guard lock(mutex_);
        return current_;
    }
    void set_current(std::shared_ptr<Reader> reader) {
        const std::lock_guard lock(mutex_);
        current_.swap(reader);
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<Reader> current_;
};

ChunkRunner::ChunkRunner(const ChunkConfig &config, std::shared_ptr<Placer> placer, const std::shared_ptr<ChunkWindow> &window,
                         Log log)
    : ChunkRunner(config, std::move(placer), std::make_shared<Member>(window, config.stream_id, config.max_chunks),
                  std::move(log)) {
    window->join(member_);
}

ChunkRunner::ChunkRunner(const ChunkConfig &config, std::shared_ptr<Placer> placer, std::shared_ptr<Member> member, Log log)
    : Readers(config.assembler, std::make_unique<ChunkPlacement>(config.placement, std::move(placer), member),
              config.explicit_start, config.end_with_any, std::move(log)),
      member_(std::move(member)) {}

ChunkRunner::~ChunkRunner() { stop(); }

void ChunkRunner::stop() {
    ReceiveLock lock(receive_mutex_);
    end();
    tell(std::move(lock));
}

std::pair<Statistics, ChunkStatistics> ChunkRunner::statistics() {
    const ReceiveLock lock(receive_mutex_);
    Statistics result = count();
    result.worker_blocked += worker_blocked_;
    return {result, assembler_.chunks()->statistics()};
}

Wait ChunkRunner::step(Reader &reader) noexcept {
    ReceiveLock lock(receive_mutex_);
    if (reader.ended) return Paused{};
    member_->catch_up();
    Wait result = Paused{};
    if (!assembler_.blocked()) {
        member_->set_current(reader.shared_from_this());
        expire();
        for (int round = 0; round < rounds_of_a_worker; round++)
            if (!receive(reader) || reader.ended || assembler_.blocked()) break;
    } else if (member_->current().get() == &reader) {
        go_on(reader);
    } else {
        worker_blocked_++;
        paused_.push_back(reader.shared_from_this());
        return result;
    }
    if (assembler_.blocked()) {
        worker_blocked_++;
    } else {
        resume();
        result = wait_for(reader);
    }
    tell(std::move(lock));
    return result;
}

// ---------------------------------------------------------------------------------------- with the receive lock held

void ChunkRunner::ended_now() {
    member_->leave();
    member_->set_current(nullptr);
    resume();
}

void ChunkRunner::resume() {
    for (const auto &reader : std::exchange(paused_, {})) reader->kick();
}

}  // namespace spead
