// The Python module: it hands over, and decides nothing.
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "conversion.hpp"
#include "handles.hpp"
#include "heap_type.hpp"
#include "numbered_heaps.hpp"

namespace spead::python {

namespace {

using nb::arg;

void bind_workers(nb::module_ &m) {
    nb::class_<WorkerHandle>(m, "Worker");
    nb::class_<Workers>(m, "Workers")
        .def(nb::init<std::size_t, const std::vector<int> &>(), arg("threads"), arg("affinity"))
        .def("assign", [](Workers &self) { return WorkerHandle{self.assign()}; })
        .def("stop", &Workers::stop, nb::call_guard<MaybeRelease>());
}

// An error of the library that no runner has turned into one of its own.
void translate(const std::exception_ptr &pointer, void *) {
    try {
        std::rethrow_exception(pointer);
    } catch (const TransportException &exception) {
        const nb::object object = make_exception(exception.error, "");
        PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(object.ptr())), object.ptr());
    } catch (const std::system_error &exception) {
        const nb::object object = nb::handle(PyExc_OSError)(exception.code().value(), exception.what());
        PyErr_SetObject(PyExc_OSError, object.ptr());
    }
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "The native engine. Not for direct use: see spead_transport_fastpath.";
    // A program may end while streams are alive; what they keep then is nobody's to free.
    nb::set_leak_warnings(false);
    load_names();
    nb::register_exception_translator(translate);
    define_heap_type(m);
    bind_items(m);
    bind_endpoints(m);
    bind_workers(m);
    bind_memory(m);
    bind_sending(m);
    bind_receiving(m);
    bind_chunks(m);
}

}  // namespace spead::python
