// What Python holds of the library's endpoints and threads, and the parts that the module is bound in.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "block_pool.hpp"
#include "event.hpp"
#include "packet_queue.hpp"
#include "python_objects.hpp"
#include "receive_runner.hpp"
#include "send_runner.hpp"
#include "workers.hpp"

namespace spead::python {

struct SenderHandle {
    Sender sender;
    // What messages call it.
    std::string url;
    bool python_inside;
};

struct ReceiverHandle {
    Receiver receiver;
    std::string url;
    bool python_inside;
};

// Shared with threads, which must not have to get the GIL to let go of it.
struct QueueHandle {
    std::shared_ptr<PacketQueue> queue;
};
struct ReaderHandle {
    std::shared_ptr<QueueReader> reader;
};

struct PoolHandle {
    std::shared_ptr<BlockPool> pool;
    // Whether its memory comes from an allocator in Python.
    bool python_inside;
};

struct WorkerHandle {
    std::shared_ptr<Worker> worker;
};

inline void check_signals() {
    if (PyErr_CheckSignals()) nb::raise_python_error();
}

// Seconds of the monotonic clock; negative if there is no time limit.
inline double deadline_after(std::optional<double> timeout) {
    return timeout ? monotonic_time() + std::max(0.0, *timeout) : -1.0;
}

inline double time_left(double deadline) { return deadline < 0 ? -1.0 : std::max(0.0, deadline - monotonic_time()); }

void bind_items(nb::module_ &m);
void bind_endpoints(nb::module_ &m);
void bind_sending(nb::module_ &m);
void bind_receiving(nb::module_ &m);
void bind_chunks(nb::module_ &m);
void bind_memory(nb::module_ &m);

}  // namespace spead::python
