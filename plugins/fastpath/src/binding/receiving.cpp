// Receiving: assembler, runner and the loop over a stream. The rule for the GIL is that of sending.cpp.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "receiving.hpp"

#include <iterator>
#include <limits>
#include <utility>

#include "conversion.hpp"
#include "heap_type.hpp"
#include "python_endpoints.hpp"
#include "receive_runner.hpp"

namespace spead::python {

nb::list to_list(const Statistics &s, bool extra) {
    nb::list list;
    if (extra) {
        for (std::size_t reason = 1; reason < num_rejections; reason++) list.append(s.rejected[reason]);
        list.append(s.heaps_discarded);
        list.append(s.transport_drops);
    } else {
        for (const std::uint64_t value : {s.heaps, s.incomplete_heaps_evicted, s.incomplete_heaps_flushed, s.packets, s.batches,
                                          s.max_batch, s.single_packet_heaps, s.search_dist, s.worker_blocked})
            list.append(value);
    }
    return list;
}

namespace {

using nb::arg;

nb::tuple to_python(const Statistics &statistics) { return nb::make_tuple(to_list(statistics, false), to_list(statistics, true)); }

class PyAssembler {
public:
    explicit PyAssembler(const ReceiveSettings &settings)
        : maker_(settings.bug_compat), assembler_(settings.config.assembler, settings.allocator) {}

    nb::list add(nb::object batch, double now) {
        const BatchView view(std::move(batch));
        assembler_.add(view.view(), now, heaps_);
        return take();
    }
    nb::list expire(double now) {
        assembler_.expire(now, heaps_);
        return take();
    }
    double next_expiry() const { return assembler_.next_expiry(); }
    nb::list flush() {
        assembler_.flush(heaps_);
        return take();
    }
    bool stopped() const { return assembler_.stopped(); }
    nb::tuple statistics() const { return to_python(assembler_.statistics()); }

private:
    nb::list take() {
        for (const std::string &message : assembler_.notices().take()) write_log(false, message);
        nb::list result;
        for (ReceivedHeap &heap : heaps_) result.append(maker_.make(std::move(heap)));
        heaps_.clear();
        return result;
    }

    HeapMaker maker_;
    HeapAssembler assembler_;
    std::vector<ReceivedHeap> heaps_;
};

class PyReceiveRunner : public RunnerFace<ReceiveRunner> {
public:
    explicit PyReceiveRunner(const ReceiveSettings &settings)
        : RunnerFace(std::make_shared<ReceiveRunner>(settings.config, settings.allocator, write_log)),
          maker_(settings.bug_compat),
          python_inside_(settings.python_inside) {}

    void add_reader(const ReceiverHandle &receiver, const WorkerHandle *worker) {
        python_inside_ |= receiver.python_inside;
        url_ = receiver.url;
        RunnerFace::add_reader(receiver, worker);
    }

    nb::object next_or_none() {
        switch (find()) {
            case ReceiveRunner::Next::heap: return make_next();
            case ReceiveRunner::Next::empty: return nb::none();
            default: return raise_stopped();
        }
    }

    nb::object get(std::optional<double> timeout) {
        ReceiveRunner::Next next = find();
        if (next == ReceiveRunner::Next::empty) {
            const double deadline = deadline_after(timeout);
            do {
                const Waited waited = find_later(time_left(deadline), next);
                if (waited == Waited::timed_out && next == ReceiveRunner::Next::empty)
                    return raise_empty(nb::str("no heap arrived within {} seconds").format(*timeout).c_str());
            } while (next == ReceiveRunner::Next::empty);
        }
        return next == ReceiveRunner::Next::heap ? make_next() : raise_stopped();
    }

    // The next heap, whenever it comes; null at the end of the stream.
    nb::object next_or_end() {
        ReceiveRunner::Next next = find();
        while (next == ReceiveRunner::Next::empty) find_later(-1.0, next);
        return next == ReceiveRunner::Next::heap ? make_next() : nb::object();
    }

    int fileno() {
        watched_ = true;
        put_back();
        return runner_->fileno();
    }

    nb::tuple statistics() {
        Statistics result;
        {
            const MaybeRelease released;
            result = runner_->statistics();
        }
        return to_python(result);
    }

    nb::tuple ring_statistics() {
        put_back();
        RingStatistics s;
        {
            const MaybeRelease released;
            s = runner_->ring_statistics();
        }
        return nb::make_tuple(s.put, s.taken, s.waiting, s.peak, s.full);
    }

private:
    // Whether there is a heap for make_next.
    ReceiveRunner::Next find() {
        return take(python_inside_, [] { return true; });
    }

    // The same when there may be one again, or `seconds` (for ever if negative) are over.
    Waited find_later(double seconds, ReceiveRunner::Next &next) {
        Waited waited = Waited::ready;
        // What came is taken in without the GIL, too: whoever sends in this process is likely to want it just now. After an
        // interrupt its handler comes first: endpoints in Python would meet it otherwise.
        next = take(true, [&] {
            waited = runner_->wait(seconds);
            return waited != Waited::interrupted;
        });
        check_signals();
        return waited;
    }

    // Unless there are some for make_next, call `wait`, and if it says so, take all heaps that wait from the ring.
    template <typename Wait>
    ReceiveRunner::Next take(bool release, Wait wait) {
        if (used_ < taken_.size()) return ReceiveRunner::Next::heap;
        std::vector<ReceivedHeap> heaps = std::exchange(taken_, {});
        heaps.clear();
        used_ = 0;
        ReceiveRunner::Next result = ReceiveRunner::Next::empty;
        std::optional<Error> error;
        {
            const MaybeRelease released(release);
            try {
                if (wait()) result = runner_->next(heaps, std::numeric_limits<std::size_t>::max());
            } catch (const TransportException &exception) {
                error = exception.error;
            }
        }
        if (error) raise(*error, url_);
        // Another thread may have been here while the GIL was released.
        if (taken_.empty())
            taken_.swap(heaps);
        else
            std::move(heaps.begin(), heaps.end(), std::back_inserter(taken_));
        return used_ < taken_.size() ? ReceiveRunner::Next::heap : result;
    }

    nb::object make_next() {
        ReceivedHeap heap = std::move(taken_[used_++]);  // the garbage collector may run, and anybody's code with it
        if (watched_ && used_ == taken_.size()) runner_->use_up();
        return maker_.make(std::move(heap));
    }

    void put_back() {
        runner_->put_back(std::span(taken_).subspan(used_));
        taken_.clear();
        used_ = 0;
    }

    [[noreturn]] static nb::object raise_empty(const char *message) {
        PyErr_SetString(Names::get().empty_error.ptr(), message);
        nb::raise_python_error();
    }
    [[noreturn]] static nb::object raise_stopped() {
        PyErr_SetString(Names::get().stopped.ptr(), "the stream ended");
        nb::raise_python_error();
    }

    HeapMaker maker_;
    bool python_inside_;
    // Of the reader that was added last: what messages about a broken one call it.
    std::string url_;
    // Heaps that left the ring, of which the first ones were made Python objects. Used with the GIL.
    std::vector<ReceivedHeap> taken_;
    std::size_t used_ = 0;
    // Whether somebody has the file descriptor.
    bool watched_ = false;
};

// What a loop over a stream works with. Its type has slots of its own, because the loop runs once for each heap.
class HeapIterator {
public:
    HeapIterator(nb::object runner, nb::object owner)
        : kept_(std::move(runner)), owner_(std::move(owner)), runner_(*nb::inst_ptr<PyReceiveRunner>(kept_)) {}

    static PyObject *self(PyObject *object) { return Py_NewRef(object); }
    static PyObject *next(PyObject *object) noexcept {
        try {
            return nb::inst_ptr<HeapIterator>(object)->runner_.next_or_end().release().ptr();
        } catch (nb::python_error &exception) {
            exception.restore();
        } catch (const std::exception &exception) {  // no memory
            PyErr_SetString(PyExc_MemoryError, exception.what());
        }
        return nullptr;
    }

private:
    const nb::object kept_;
    const nb::object owner_;
    PyReceiveRunner &runner_;
};

}  // namespace

void bind_receiving(nb::module_ &m) {
    nb::class_<ReceiveSettings>(m, "ReceiveSettings")
        .def("__init__",
             [](ReceiveSettings *self, std::size_t max_heaps, std::size_t substreams, int bug_compat, bool nontemporal,
                bool stop_on_stop_item, bool allow_unsized_heaps, bool allow_out_of_order, bool sequential_heaps, std::int64_t max_heap_size,
                double max_heap_age, bool explicit_start, std::size_t ring_heaps, bool contiguous_only, bool keep_payload_ranges, bool end_with_any,
                std::optional<nb::object> allocator) {
                 ReceiveConfig config;
                 config.assembler = {.max_heaps = max_heaps,
                                     .substreams = substreams,
                                     .stop_on_stop_item = stop_on_stop_item,
                                     .allow_unsized_heaps = allow_unsized_heaps,
                                     .allow_out_of_order = allow_out_of_order,
                                     .sequential_heaps = sequential_heaps,
                                     .max_heap_size = max_heap_size,
                                     .max_heap_age = max_heap_age,
                                     .keep_payload_ranges = keep_payload_ranges,
                                     .copy_method = nontemporal ? CopyMethod::nontemporal : CopyMethod::standard};
                 config.ring_heaps = ring_heaps;
                 config.contiguous_only = contiguous_only;
                 config.explicit_start = explicit_start;
                 config.end_with_any = end_with_any;
                 std::shared_ptr<HeapAllocator> memory;
                 const PoolHandle *pool = nullptr;
                 if (allocator && nb::try_cast(*allocator, pool))
                     memory = pool->pool;
                 else if (allocator)
                     memory = std::make_shared<PythonAllocator>(*allocator);
                 ::new (self) ReceiveSettings{config, bug_compat, std::move(memory), pool ? pool->python_inside : allocator.has_value()};
             },
             nb::kw_only(), arg("max_heaps"), arg("substreams"), arg("bug_compat"), arg("nontemporal"), arg("stop_on_stop_item"),
             arg("allow_unsized_heaps"), arg("allow_out_of_order"), arg("sequential_heaps"), arg("max_heap_size"), arg("max_heap_age"), arg("explicit_start"), arg("ring_heaps"),
             arg("contiguous_only"), arg("keep_payload_ranges"), arg("end_with_any"), arg("allocator").none());
    static PyType_Slot iterator_slots[] = {
        {Py_tp_iter, reinterpret_cast<void *>(HeapIterator::self)},
        {Py_tp_iternext, reinterpret_cast<void *>(HeapIterator::next)},
        {0, nullptr},
    };
    nb::class_<HeapIterator>(m, "HeapIterator", nb::type_slots(iterator_slots));
    nb::class_<PyAssembler>(m, "Assembler")
        .def(nb::init<const ReceiveSettings &>(), arg("settings"))
        .def("add", &PyAssembler::add, arg("batch"), arg("now"))
        .def("expire", &PyAssembler::expire, arg("now"))
        .def_prop_ro("next_expiry", &PyAssembler::next_expiry)
        .def("flush", &PyAssembler::flush)
        .def_prop_ro("stopped", &PyAssembler::stopped)
        .def("statistics", &PyAssembler::statistics);
    nb::class_<PyReceiveRunner>(m, "ReceiveRunner")
        .def(nb::init<const ReceiveSettings &>(), arg("settings"))
        .def("add_reader", &PyReceiveRunner::add_reader, arg("receiver"), arg("worker").none())
        .def("start", &PyReceiveRunner::start)
        .def("take", &PyReceiveRunner::next_or_none)
        .def("get", &PyReceiveRunner::get, arg("timeout").none())
        .def("iterate", [](nb::handle self, nb::object owner) { return HeapIterator(nb::borrow(self), std::move(owner)); }, arg("owner"))
        .def("fileno", &PyReceiveRunner::fileno)
        .def("stop", &PyReceiveRunner::stop)
        .def("statistics", &PyReceiveRunner::statistics)
        .def("drops", &PyReceiveRunner::drops)
        .def("ring_statistics", &PyReceiveRunner::ring_statistics);
}

}  // namespace spead::python
