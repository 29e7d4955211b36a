#include "python_objects.hpp"

#include <structmember.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace spead::python {

namespace {

const Names *names = nullptr;

nb::object attribute(const char *module, const char *name) { return nb::module_::import_(module).attr(name); }

bool interpreter_runs() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsInitialized() && !Py_IsFinalizing();
#else
    return Py_IsInitialized() && !_Py_IsFinalizing();
#endif
}

std::string text_of(nb::handle exception) { return nb::cast<std::string>(nb::str(exception)); }

}  // namespace

Names::Names()
    : heap(attribute("spead_transport.protocol.received", "Heap")),
      heap_to_send(attribute("spead_transport.protocol.outgoing", "Heap")),
      heap_reference(attribute("spead_transport.engine.send_config", "HeapReference")),
      cnt_sequence(attribute("spead_transport.engine.numbering", "CntSequence")),
      serial(attribute("spead_transport.engine.send_config", "GroupMode").attr("SERIAL")),
      item(attribute("spead_transport.protocol.item", "Item")),
      sent_item(attribute("spead_transport.protocol.shortcuts", "SentItem")),
      incomplete_heap(attribute("spead_transport.protocol.received", "IncompleteHeap")),
      raw_item(attribute("spead_transport.protocol.received", "RawItem")),
      flavour(attribute("spead_transport.protocol.flavour", "Flavour")),
      packet_batch(attribute("spead_transport.protocol.batch", "PacketBatch")),
      obtain(attribute("spead_transport.engine.memory", "obtain")),
      heaps_to_place(attribute("spead_transport.engine.chunks", "HeapsToPlace")),
      empty(attribute("numpy", "empty")),
      uint8(attribute("numpy", "dtype")("u1")),
      uint64(attribute("numpy", "dtype")("u8")),
      int64(attribute("numpy", "dtype")("i8")),
      no_bytes(empty(0, uint8)),
      no_pointers(empty(0, uint64)),
      transport_error(attribute("spead_transport.errors", "TransportError")),
      closed_error(attribute("spead_transport.errors", "ClosedError")),
      broken_transport_error(attribute("spead_transport.errors", "BrokenTransportError")),
      busy_error(attribute("spead_transport.errors", "BusyError")),
      end_of_stream(attribute("spead_transport.errors", "EndOfStream")),
      empty_error(attribute("spead_transport.errors", "Empty")),
      stopped(attribute("spead_transport.errors", "Stopped")),
      get_running_loop(attribute("asyncio", "get_running_loop")),
      running_loop_or_none(attribute("asyncio", "_get_running_loop")),
      invalid_state_error(attribute("asyncio", "InvalidStateError")),
      logger(attribute("logging", "getLogger")("spead_transport")) {}

void load_names() {
    // Lives as long as the process, like the modules that it refers to.
    names = std::make_unique<Names>().release();
}

const Names &Names::get() { return *names; }

std::size_t offset_of_slot(nb::handle type, const char *name) {
    const nb::object descriptor = type.attr(name);
    if (Py_TYPE(descriptor.ptr()) != &PyMemberDescr_Type)
        throw std::runtime_error(nb::cast<std::string>(nb::str(type)) + " has no slot named " + name);
    return static_cast<std::size_t>(reinterpret_cast<PyMemberDescrObject *>(descriptor.ptr())->d_member->offset);
}

nb::object make_exception(const Error &error, const std::string &url) {
    if (error.cause) return nb::borrow(static_cast<PyObject *>(error.cause.get()));
    const Names &n = Names::get();
    nb::object type = n.transport_error;
    switch (error.kind) {
        case ErrorKind::invalid_argument: return nb::handle(PyExc_ValueError)(error.message);
        case ErrorKind::queue_full: return nb::handle(PyExc_BlockingIOError)(error.error_number, error.message);
        case ErrorKind::timed_out: return nb::handle(PyExc_TimeoutError)(error.message);
        case ErrorKind::end_of_stream: return n.end_of_stream();
        case ErrorKind::closed: type = n.closed_error; break;
        case ErrorKind::broken: type = n.broken_transport_error; break;
        case ErrorKind::busy: type = n.busy_error; break;
        case ErrorKind::refused: break;
    }
    const nb::object number = error.error_number ? nb::cast(error.error_number) : nb::none();
    const nb::object where = url.empty() ? nb::none() : nb::cast(url);
    const std::size_t mark = error.message.find(hint_mark);
    const nb::object hint = mark == std::string::npos ? nb::none() : nb::cast(error.message.substr(mark + hint_mark.size()));
    return type(error.message.substr(0, mark), nb::arg("errno") = number, nb::arg("url") = where, nb::arg("hint") = hint);
}

void raise(const Error &error, const std::string &url) {
    const nb::object exception = make_exception(error, url);
    PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(exception.ptr())), exception.ptr());
    nb::raise_python_error();
}

Error error_from(nb::python_error &exception) {
    const Names &n = Names::get();
    if (exception.matches(n.end_of_stream)) return {ErrorKind::end_of_stream, 0, "the end of the stream"};
    const ErrorKind kind = exception.matches(n.closed_error)             ? ErrorKind::closed
                           : exception.matches(n.broken_transport_error) ? ErrorKind::broken
                           : exception.matches(n.busy_error)             ? ErrorKind::busy
                                                                         : ErrorKind::refused;
    const nb::handle value = exception.value();
    return {kind, 0, std::string(Py_TYPE(value.ptr())->tp_name) + ": " + text_of(value), keep_alive(nb::borrow(value))};
}

std::shared_ptr<void> keep_alive(nb::object object) {
    return {object.release().ptr(), [](void *kept) {
                if (const MaybeAcquire gil; gil) Py_DECREF(static_cast<PyObject *>(kept));
            }};
}

void write_log(bool is_error, const std::string &message) noexcept {
    const MaybeAcquire gil;
    if (!gil) return;
    try {
        Names::get().logger.attr(is_error ? "error" : "warning")("%s", message);
    } catch (nb::python_error &exception) {
        exception.discard_as_unraisable("spead_transport's log");
    }
}

MaybeAcquire::MaybeAcquire() : has_(interpreter_runs()) {
    if (has_)
        acquire_.emplace();
    else
        has_ = Py_IsInitialized() && PyGILState_Check();
}

MaybeRelease::MaybeRelease(bool wanted) : state_(wanted && interpreter_runs() ? PyEval_SaveThread() : nullptr) {}

MaybeRelease::~MaybeRelease() {
    if (!state_) return;
    while (!interpreter_runs()) pause();
    try {
        PyEval_RestoreThread(state_);
    } catch (...) {  // pthread_exit(3) unwinds: the end came while this thread waited for the GIL
        for (;;) pause();
    }
}

}  // namespace spead::python
