// NumPy's arrays in C. Everything here wants the GIL; import_numpy is to be called once, before anything else here.
#pragma once

#include <nanobind/nanobind.h>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL spead_transport_numpy
#ifndef SPEAD_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

namespace spead::python {

namespace nb = nanobind;

void import_numpy();

inline PyArrayObject *as_array(nb::handle object) noexcept { return reinterpret_cast<PyArrayObject *>(object.ptr()); }

// Whether it is a vector of that type (NPY_UINT8 ...) that can be used as it is.
inline bool is_vector(nb::handle object, int type) noexcept {
    return PyArray_CheckExact(object.ptr()) && PyArray_TYPE(as_array(object)) == type && PyArray_NDIM(as_array(object)) == 1 &&
           PyArray_CHKFLAGS(as_array(object), NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED) && PyArray_ISNOTSWAPPED(as_array(object));
}

// An array of the memory at `data`, which `base` keeps. For a type of one element, `shape` is empty.
nb::object make_array(nb::handle dtype, int dimensions, const npy_intp *shape, void *data, bool fortran, bool writable,
                      nb::object base);

}  // namespace spead::python
