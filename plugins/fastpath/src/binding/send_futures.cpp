#include "send_futures.hpp"

#include <memory>

namespace spead::python {

namespace {

using nb::arg;

// Calls a method by a name that is a literal.
#define SPEAD_CALL(object, name, ...)                                                                            \
    ([&](const auto &...arguments) {                                                                             \
        static PyObject *const interned = PyUnicode_InternFromString(name);                                      \
        PyObject *const stack[] = {(object).ptr(), arguments.ptr()...};                                          \
        PyObject *result = PyObject_VectorcallMethod(interned, stack, sizeof...(arguments) + 1, nullptr);        \
        if (!result) nb::raise_python_error();                                                                   \
        return nb::steal(result);                                                                                \
    }(__VA_ARGS__))

bool is_closed(nb::handle loop) { return nb::cast<bool>(loop.attr("is_closed")()); }

// Let a future be done. Nothing is amiss if it was cancelled, or if whoever waited for it is gone, with the loop.
void finish(nb::handle future, bool failed, nb::handle outcome) noexcept {
    try {
        if (failed)
            SPEAD_CALL(future, "set_exception", outcome);
        else
            SPEAD_CALL(future, "set_result", outcome);
    } catch (nb::python_error &exception) {
        if (exception.matches(Names::get().invalid_state_error)) return;
        try {
            if (exception.matches(PyExc_RuntimeError) && is_closed(SPEAD_CALL(future, "get_loop"))) return;
        } catch (nb::python_error &another) {
            another.discard_as_unraisable(future);
        }
        exception.discard_as_unraisable(future);
    }
}

}  // namespace

class SendFutures::Group final : public Submission {
public:
    Group(NumberedHeaps heaps, GroupMode mode, nb::object kept, nb::object futures, nb::object future, nb::object loop)
        : Submission(std::move(heaps), mode, std::move(kept)),
          futures_(std::move(futures)),
          future_(std::move(future)),
          loop_(std::move(loop)) {}
    ~Group() override {
        if (futures_.is_valid()) MaybeAcquire().drop(kept_, futures_, future_, loop_);
    }

    void finished(nb::object error) override {
        kept_.reset();
        const nb::object futures = std::move(futures_);
        const nb::object loop = std::move(loop_);
        nb::inst_ptr<SendFutures>(futures)->finished({std::move(future_), bytes(), std::move(error)}, loop);
    }

private:
    nb::object futures_;
    nb::object future_;
    nb::object loop_;
};

nb::object SendFutures::running_loop() {
#if PY_VERSION_HEX < 0x030C0000
    // Until then, asyncio makes a system call to find out.
    if (loop_.is_valid() && PyThread_get_thread_ident() == thread_ && SPEAD_CALL(loop_, "is_running").is(Py_True)) return loop_;
    thread_ = PyThread_get_thread_ident();
    loop_ = Names::get().get_running_loop();
    return loop_;
#else
    return Names::get().get_running_loop();
#endif
}

SendFutures::SendFutures(nb::object runner, nb::object drive_in_background)
    : runner_(std::move(runner)), drive_in_background_(std::move(drive_in_background)) {}

nb::object SendFutures::send(nb::object heaps, nb::handle mode) {
    return send_numbered(heaps, mode_from(mode), [&](const HeapNumbering &numbering) { return numbering.group(heaps); });
}

nb::object SendFutures::send_one(nb::object heap, nb::handle cnt, nb::handle substream_index, nb::handle rate) {
    return send_numbered(heap, GroupMode::serial,
                         [&](const HeapNumbering &numbering) { return numbering.one(heap, cnt, substream_index, rate); });
}

template <typename Number>
nb::object SendFutures::send_numbered(nb::object kept, GroupMode mode, Number number) {
    PySendRunner &runner = *nb::inst_ptr<PySendRunner>(runner_);
    nb::object loop = running_loop();
    nb::object future = SPEAD_CALL(loop, "create_future");
    NumberedHeaps heaps;
    try {
        heaps = number(runner.numbering());
    } catch (nb::python_error &exception) {
        if (!exception.matches(PyExc_OSError)) throw;
        SPEAD_CALL(future, "set_exception", exception.value());
        return future;
    }
    const std::uint64_t payload_size = heaps.payload_size;
    const auto group = std::make_shared<Group>(std::move(heaps), mode, std::move(kept), nb::find(*this), future, std::move(loop));
    submitted_++;
    if (!runner.submit(group, payload_size)) drive_in_background_();
    return future;
}

void SendFutures::finished(Outcome outcome, nb::handle loop) {
    outcomes_.push_back(std::move(outcome));
    if (!scheduled_in_.is(loop)) schedule_in(loop);
}

void SendFutures::schedule_in(nb::handle loop) {
    scheduled_in_ = nb::borrow(loop);
    const nb::object settle = nb::find(*this).attr("settle");
    try {
        if (Names::get().running_loop_or_none().is(loop))
            SPEAD_CALL(loop, "call_soon", settle);
        else
            SPEAD_CALL(loop, "call_soon_threadsafe", settle);
    } catch (nb::python_error &exception) {
        if (!exception.matches(PyExc_RuntimeError) || !is_closed(loop)) throw;
        scheduled_in_.reset();  // the next loop that the stream is used in looks at it
    }
}

nb::object SendFutures::all_so_far() {
    if (settled_ == submitted_) return nb::none();
    nb::object flushed = SPEAD_CALL(running_loop(), "create_future");
    flushing_.emplace_back(submitted_, flushed);
    return flushed;
}

void SendFutures::settle() {
    scheduled_in_.reset();  // before looking: what is reported from now on may be missed here
    while (!outcomes_.empty()) {
        const std::vector<Outcome> outcomes = std::exchange(outcomes_, {});
        for (const auto &[future, bytes, error] : outcomes) finish(future, !error.is_none(), error.is_none() ? nb::int_(bytes) : error);
        settled_ += outcomes.size();
    }
    while (!flushing_.empty() && flushing_.front().first <= settled_) {
        const nb::object flushed = std::move(flushing_.front().second);
        flushing_.pop_front();
        finish(flushed, false, nb::none());
    }
}

int SendFutures::traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    if (!nb::inst_ready(self)) return 0;
    const SendFutures &futures = *nb::inst_ptr<SendFutures>(self);
    for (const nb::object *member : {&futures.runner_, &futures.drive_in_background_, &futures.loop_, &futures.scheduled_in_}) Py_VISIT(member->ptr());
    for (const Outcome &outcome : futures.outcomes_) {
        Py_VISIT(outcome.future.ptr());
        Py_VISIT(outcome.error.ptr());
    }
    for (const auto &[count, flushed] : futures.flushing_) Py_VISIT(flushed.ptr());
    return 0;
}

int SendFutures::clear(PyObject *self) {
    SendFutures &futures = *nb::inst_ptr<SendFutures>(self);
    futures.loop_.reset();
    futures.scheduled_in_.reset();
    std::exchange(futures.outcomes_, {}).clear();
    std::exchange(futures.flushing_, {}).clear();
    return 0;
}

void bind_send_futures(nb::module_ &m) {
    static PyType_Slot slots[] = {
        {Py_tp_traverse, reinterpret_cast<void *>(SendFutures::traverse)},
        {Py_tp_clear, reinterpret_cast<void *>(SendFutures::clear)},
        {0, nullptr},
    };
    nb::class_<SendFutures>(m, "SendFutures", nb::type_slots(slots))
        .def(nb::init<nb::object, nb::object>(), arg("runner"), arg("drive_in_background"))
        .def("send", &SendFutures::send, arg("heaps"), arg("mode"))
        .def("send_one", &SendFutures::send_one, arg("heap"), arg("cnt"), arg("substream_index"), arg("rate"))
        .def("all_so_far", &SendFutures::all_so_far)
        .def("settle", &SendFutures::settle);
}

}  // namespace spead::python
