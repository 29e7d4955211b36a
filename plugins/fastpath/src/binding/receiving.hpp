// What the bindings of receiving streams share. The rule for the GIL is that of sending.cpp.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "handles.hpp"
#include "receive_runner.hpp"

namespace spead::python {

struct ReceiveSettings {
    ReceiveConfig config;
    int bug_compat;
    // Null for the library's own memory.
    std::shared_ptr<HeapAllocator> allocator;
    bool python_inside;
};

// The counters that every stream has, or those that follow a stream's own.
nb::list to_list(const Statistics &statistics, bool extra);

// A runner as Python has it: what all of them can do.
template <typename Runner>
class RunnerFace {
public:
    explicit RunnerFace(std::shared_ptr<Runner> runner) : runner_(std::move(runner)) {}
    ~RunnerFace() {
        const MaybeRelease released;
        runner_->stop();
        runner_.reset();
    }
    RunnerFace(const RunnerFace &) = delete;
    RunnerFace &operator=(const RunnerFace &) = delete;

    void add_reader(const ReceiverHandle &receiver, const WorkerHandle *worker) {
        const MaybeRelease released;
        runner_->add_reader(receiver.receiver, worker ? worker->worker : nullptr);
    }
    void start() {
        const MaybeRelease released;
        runner_->start();
    }
    void stop() {
        const MaybeRelease released;
        runner_->stop();
    }
    std::map<std::string, std::uint64_t> drops() {
        const MaybeRelease released;
        return runner_->drops();
    }

protected:
    std::shared_ptr<Runner> runner_;
};

}  // namespace spead::python
