// The items of received heaps: methods of the heap type that do natively what the package's Heap does. They leave what is
// unusual to it.
#pragma once

#include <nanobind/nanobind.h>

namespace spead::python {

// See spead_transport.recv.Heap.
PyObject *locate_items(PyObject *heap, PyObject *) noexcept;
PyObject *get_items(PyObject *heap, PyObject *) noexcept;

}  // namespace spead::python
