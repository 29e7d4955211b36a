#include "workers.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "event.hpp"

namespace spead {

namespace {

// Seconds until a descriptor is looked at again that the system has no room to watch.
constexpr double unwatched_interval = 0.01;

// Signals are for the program's own threads.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked &) = delete;
    SignalsBlocked &operator=(const SignalsBlocked &) = delete;

private:
    sigset_t before_;
};

// Threads that destroyed their own worker, and so could not be waited for.
class Orphans {
public:
    ~Orphans() { join(); }
    void add(std::thread thread) {
        const std::lock_guard lock(mutex_);
        threads_.push_back(std::move(thread));
    }
    void join() noexcept {
        const std::lock_guard lock(mutex_);
        for (std::thread &thread : threads_) thread.join();
        threads_.clear();
    }
    static Orphans &shared() {
        static Orphans orphans;
        return orphans;
    }

private:
    std::mutex mutex_;
    std::vector<std::thread> threads_;
};

}  // namespace

class Worker::Loop {
public:
    Loop() { poller_.add(kick_.fileno()); }

    void kick(std::shared_ptr<Task> task) {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        kicked_.push_back(std::move(task));
        kick_.set();
    }
    void stop() noexcept {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        kick_.set();
    }
    void run();

private:
    struct Waiting {
        std::shared_ptr<Task> task;
        int fd = -1;
        // Its place in `timers_`; end() if it has none.
        std::multimap<double, Task *>::iterator timer;
    };

    void wait(std::vector<std::shared_ptr<Task>> &due);
    bool take_kicked(std::vector<std::shared_ptr<Task>> &due);
    void step(std::shared_ptr<Task> task);
    bool watch(int fd) noexcept;

    std::mutex mutex_;
    std::vector<std::shared_ptr<Task>> kicked_;
    bool stopping_ = false;
    Event kick_;

    // Used by the thread only.
    Poller poller_;
    std::unordered_map<Task *, Waiting> waiting_;
    std::unordered_map<int, Task *> by_fd_;
    std::multimap<double, Task *> timers_;
};

void Worker::Loop::run() {
    prctl(PR_SET_TIMERSLACK, 1);  // otherwise the system lets each wait take 50 us longer
    std::vector<std::shared_ptr<Task>> due;
    for (;;) {
        wait(due);
        if (!take_kicked(due)) break;
        for (auto &task : due) step(std::move(task));
        due.clear();
    }
    // Tasks keep their worker, and the worker this object: let go of them. Nobody adds any more.
    due.clear();
    waiting_.clear();
    kicked_.clear();
}

bool Worker::Loop::take_kicked(std::vector<std::shared_ptr<Task>> &due) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    for (auto &task : kicked_) due.push_back(std::move(task));
    kicked_.clear();
    kick_.clear();
    return true;
}

// Block until something is due.
void Worker::Loop::wait(std::vector<std::shared_ptr<Task>> &due) {
    const double seconds = timers_.empty() ? -1.0 : std::max(0.0, timers_.begin()->first - monotonic_time());
    std::array<epoll_event, 64> events;
    const std::size_t count = poller_.wait(events, seconds);
    for (std::size_t i = 0; i < count; i++)
        if (const auto at = by_fd_.find(events[i].data.fd); at != by_fd_.end())
            due.push_back(waiting_.at(at->second).task);
    const double now = monotonic_time();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        Waiting &waiting = waiting_.at(timers_.begin()->second);
        timers_.erase(timers_.begin());
        waiting.timer = timers_.end();
        due.push_back(waiting.task);
    }
}

void Worker::Loop::step(std::shared_ptr<Task> task) {
    Wait next = task->step();
    const Readable *readable = std::get_if<Readable>(&next);
    const int fd = readable ? readable->fd : -1;
    Waiting &waiting = waiting_.try_emplace(task.get(), Waiting{task, -1, timers_.end()}).first->second;
    if (waiting.timer != timers_.end()) {
        timers_.erase(waiting.timer);
        waiting.timer = timers_.end();
    }
    if (waiting.fd != fd) {
        if (waiting.fd >= 0) {
            poller_.remove(waiting.fd);
            by_fd_.erase(waiting.fd);
        }
        waiting.fd = -1;
        if (fd >= 0 && watch(fd)) {
            waiting.fd = fd;
            by_fd_[fd] = task.get();
        } else if (fd >= 0) {
            next = Delay{unwatched_interval};
        }
    }
    const auto *delay = std::get_if<Delay>(&next);
    const double seconds = delay ? delay->seconds : readable ? readable->within : -1.0;
    if (seconds >= 0)
        waiting.timer = timers_.emplace(monotonic_time() + seconds, task.get());
    else if (waiting.fd < 0)
        waiting_.erase(task.get());
}

bool Worker::Loop::watch(int fd) noexcept {
    try {
        poller_.add(fd);
        return true;
    } catch (const std::system_error &) {
        return false;
    }
}

Worker::Worker(const std::string &name, int core) : loop_(std::make_shared<Loop>()) {
    Orphans::shared().join();
    const SignalsBlocked blocked;  // the thread inherits it
    thread_ = std::thread([loop = loop_] { loop->run(); });
    pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
    if (core < 0) return;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(static_cast<std::size_t>(core), &cores);
    pthread_setaffinity_np(thread_.native_handle(), sizeof cores, &cores);  // without it, the thread only runs elsewhere
}

Worker::~Worker() {
    stop();
    if (thread_.joinable()) Orphans::shared().add(std::move(thread_));
}

void Worker::kick(std::shared_ptr<Task> task) { loop_->kick(std::move(task)); }

void Worker::stop() noexcept {
    loop_->stop();
    if (thread_.joinable() && thread_.get_id() != std::this_thread::get_id()) thread_.join();
}

Workers::Workers(std::size_t threads, const std::vector<int> &affinity) {
    for (std::size_t i = 0; i < threads; i++) {
        const int core = affinity.empty() ? -1 : affinity[i % affinity.size()];
        workers_.push_back(std::make_shared<Worker>("spead-" + std::to_string(i), core));
    }
}

std::shared_ptr<Worker> Workers::assign() noexcept {
    return workers_[turn_.fetch_add(1, std::memory_order_relaxed) % workers_.size()];
}

void Workers::stop() noexcept {
    for (const auto &worker : workers_) worker->stop();
}

}  // namespace spead
