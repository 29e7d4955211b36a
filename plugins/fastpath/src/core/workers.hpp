// Threads that drive tasks: each waits for many tasks at once and lets those that can go on do a step.
//
// A task is stepped by one thread only. Between steps it waits for a file descriptor, for a point in time, or to be kicked.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace spead {

// Nothing but a kick ends the wait; until then the worker does not keep the task alive.
struct Paused {};
// A file descriptor polls readable, or so many seconds are over (negative: it may take any time). It must stay open as long as
// the task lives.
struct Readable {
    int fd;
    double within = -1.0;
};
// Seconds.
struct Delay {
    double seconds;
};
using Wait = std::variant<Paused, Readable, Delay>;

class Task {
public:
    virtual ~Task() = default;
    // Do some work without blocking, and say what to wait for.
    virtual Wait step() noexcept = 0;
};

// One thread.
class Worker {
public:
    // `core`: which processor to run on; negative for any. Throws std::system_error if the system gives no thread.
    Worker(const std::string &name, int core);
    ~Worker();
    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;

    // Step `task` soon, whatever it waits for. Any thread.
    void kick(std::shared_ptr<Task> task);
    // End the thread, and wait for it unless it is the caller. Tasks are no longer driven.
    void stop() noexcept;

private:
    class Loop;

    // Shared with the thread, which outlives this object if it is the one that destroys it.
    std::shared_ptr<Loop> loop_;
    std::thread thread_;
};

// The threads of one pool.
class Workers {
public:
    // `affinity`: processors to bind the threads to, in turn; none binds nothing.
    Workers(std::size_t threads, const std::vector<int> &affinity);

    // The worker that a new task belongs to, each in turn.
    std::shared_ptr<Worker> assign() noexcept;
    void stop() noexcept;

private:
    std::vector<std::shared_ptr<Worker>> workers_;
    std::atomic<std::size_t> turn_{0};
};

}  // namespace spead
