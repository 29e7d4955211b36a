#define SPEAD_IMPORTS_NUMPY
#include "numpy_api.hpp"

namespace spead::python {

void import_numpy() {
    if (_import_array() < 0) nb::raise_python_error();
}

nb::object make_array(nb::handle dtype, int dimensions, const npy_intp *shape, void *data, bool fortran, bool writable,
                      nb::object base) {
    auto *descr = reinterpret_cast<PyArray_Descr *>(dtype.inc_ref().ptr());  // taken over
    const int flags = (writable ? NPY_ARRAY_WRITEABLE : 0) | (fortran ? NPY_ARRAY_F_CONTIGUOUS : 0);
    nb::object array = nb::steal(PyArray_NewFromDescr(&PyArray_Type, descr, dimensions, shape, nullptr, data, flags, nullptr));
    if (!array.is_valid()) nb::raise_python_error();
    PyArray_UpdateFlags(as_array(array), NPY_ARRAY_UPDATE_ALL);
    if (PyArray_SetBaseObject(as_array(array), base.release().ptr()) < 0) nb::raise_python_error();
    return array;
}

}  // namespace spead::python
