// Sending with asyncio: one future for each group of heaps. Everything here wants the GIL, which also guards the state.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "sending.hpp"

namespace spead::python {

// SendFutures of Python's engine/interface.py. What runners report, from whatever thread, is brought to the futures' event loop:
// many in one pass.
class SendFutures {
public:
    // `drive_in_background`: lets a worker drive the runner; called when something has to wait.
    SendFutures(nb::object runner, nb::object drive_in_background);

    nb::object send(nb::object heaps, nb::handle mode);
    nb::object send_one(nb::object heap, nb::handle cnt, nb::handle substream_index, nb::handle rate);
    // A future; none if there is nothing to wait for.
    nb::object all_so_far();
    // For the event loop: the futures whose groups are finished are done.
    void settle();

    static int traverse(PyObject *self, visitproc visit, void *arg);
    static int clear(PyObject *self);

private:
    class Group;
    struct Outcome {
        nb::object future;
        std::uint64_t bytes;
        // None, or an exception.
        nb::object error;
    };

    nb::object running_loop();
    template <typename Number>
    nb::object send_numbered(nb::object kept, GroupMode mode, Number number);
    void finished(Outcome outcome, nb::handle loop);
    void schedule_in(nb::handle loop);

    nb::object runner_;
    nb::object drive_in_background_;
    // The loop that was the running one in this thread.
    nb::object loop_;
    unsigned long thread_ = 0;
    // How many futures there are, and how many of them are done.
    std::uint64_t submitted_ = 0;
    std::uint64_t settled_ = 0;
    // Of those that are not done yet.
    std::vector<Outcome> outcomes_;
    // Which loop will look at them; null if none will.
    nb::object scheduled_in_;
    // Futures that are done when so many others are.
    std::deque<std::pair<std::uint64_t, nb::object>> flushing_;
};

void bind_send_futures(nb::module_ &m);

}  // namespace spead::python
