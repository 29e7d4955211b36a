// Names of the Python package that the binding needs, and small conversions. Everything here wants the GIL, unless it
// says otherwise.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <optional>
#include <string>

#include "errors.hpp"

namespace spead::python {

namespace nb = nanobind;

// Objects that are looked up once, when the module is imported, and attribute names.
struct Names {
    Names();

    nb::object heap;
    nb::object heap_to_send;
    nb::object heap_reference;
    nb::object cnt_sequence;
    nb::object serial;
    nb::object item;
    nb::object sent_item;
    nb::object incomplete_heap;
    nb::object raw_item;
    nb::object flavour;
    nb::object packet_batch;
    nb::object obtain;
    nb::object heaps_to_place;
    nb::object empty;
    nb::object uint8;
    nb::object uint64;
    nb::object int64;
    nb::object no_bytes;
    nb::object no_pointers;
    nb::object transport_error;
    nb::object closed_error;
    nb::object broken_transport_error;
    nb::object busy_error;
    nb::object end_of_stream;
    nb::object empty_error;
    nb::object stopped;
    nb::object get_running_loop;
    nb::object running_loop_or_none;
    nb::object invalid_state_error;
    nb::object logger;

    static const Names &get();
};

// Import what Names holds; to be called once.
void load_names();

// An attribute by a name that is a literal, which is made a Python string only once.
#define SPEAD_ATTRIBUTE(object, name)                                                       \
    ([](nb::handle of) {                                                                    \
        static PyObject *const interned = PyUnicode_InternFromString(name);                 \
        PyObject *value = PyObject_GetAttr(of.ptr(), interned);                             \
        if (!value) nb::raise_python_error();                                               \
        return nb::steal(value);                                                            \
    }(object))

// Likewise.
#define SPEAD_SET_ATTRIBUTE(object, name, value)                                                    \
    ([](nb::handle of, nb::handle new_value) {                                                      \
        static PyObject *const interned = PyUnicode_InternFromString(name);                         \
        if (PyObject_SetAttr(of.ptr(), interned, new_value.ptr()) < 0) nb::raise_python_error();    \
    }(object, value))

// Where the instances of a Python class (and of those derived from it) keep the attribute `name`, which must be in its
// __slots__; throws std::runtime_error otherwise.
std::size_t offset_of_slot(nb::handle type, const char *name);

// What is in a slot; null if nothing is.
inline PyObject *&slot(PyObject *self, std::size_t offset) noexcept {
    return *reinterpret_cast<PyObject **>(reinterpret_cast<char *>(self) + offset);
}

// An exception as spead_transport.errors defines it.
nb::object make_exception(const Error &error, const std::string &url);
[[noreturn]] void raise(const Error &error, const std::string &url);

// What a Python exception means to a runner.
Error error_from(nb::python_error &exception);

// Keeps an object alive. The last copy may be destroyed by any thread, with or without the GIL.
std::shared_ptr<void> keep_alive(nb::object object);

// Write to the package's log. Gets the GIL itself.
void write_log(bool is_error, const std::string &message) noexcept;

// Has the GIL during its life, if it can be had: not after the interpreter's end, when other threads than the last one must
// leave it alone.
class MaybeAcquire {
public:
    MaybeAcquire();
    explicit operator bool() const noexcept { return has_; }

    // Let go of objects; without the GIL they are left to themselves.
    template <typename... Objects>
    void drop(Objects &...objects) const noexcept {
        if (has_)
            (objects.reset(), ...);
        else
            (objects.release(), ...);
    }

private:
    std::optional<nb::gil_scoped_acquire> acquire_;
    bool has_;
};

// The GIL is released during its life, if `wanted`, unless the interpreter is at its end.
class MaybeRelease {
public:
    explicit MaybeRelease(bool wanted = true);
    // At the interpreter's end, a thread that was left running never returns from here: Python would end it, by an exception
    // that must not pass through C++ (as Python itself sees it from 3.14 on).
    ~MaybeRelease();
    MaybeRelease(const MaybeRelease &) = delete;
    MaybeRelease &operator=(const MaybeRelease &) = delete;

private:
    // What PyEval_SaveThread gave; null if the GIL was kept.
    PyThreadState *state_;
};

}  // namespace spead::python
