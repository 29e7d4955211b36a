#include "item_classes.hpp"

#include <algorithm>

#include "python_objects.hpp"

namespace spead::python {

void ItemClasses::look_up() {
    const Names &names = Names::get();
    const auto type_of = [](const nb::object &object) { return reinterpret_cast<PyTypeObject *>(object.ptr()); };
    item = type_of(names.item);
    sent_item = type_of(names.sent_item);
    heap_to_send = type_of(names.heap_to_send);
    received_heap = type_of(names.heap);
    id = offset_of_slot(names.item, "id");
    name = offset_of_slot(names.item, "name");
    codec = offset_of_slot(names.item, "codec");
    value = offset_of_slot(names.item, "_value");
    version = offset_of_slot(names.item, "version");
    sent_of = offset_of_slot(names.sent_item, "item");
    sent_version = offset_of_slot(names.sent_item, "version");
    words = offset_of_slot(names.heap_to_send, "words");
    late_values = offset_of_slot(names.heap_to_send, "late_values");
    empty_items = offset_of_slot(names.heap_to_send, "empty_items");
    payload = offset_of_slot(names.heap_to_send, "payload");
    payload_size = offset_of_slot(names.heap_to_send, "payload_size");
    prepared = offset_of_slot(names.heap_to_send, "prepared");
    flavour = offset_of_slot(names.heap_to_send, "_flavour");
    repeat_pointers = offset_of_slot(names.heap_to_send, "repeat_pointers");
}

ArrayForm ArrayForm::of(nb::handle codec, nb::handle new_order) {
    ArrayForm form;
    const nb::object found = SPEAD_ATTRIBUTE(codec, "array_form")(new_order);
    if (found.is_none()) return form;
    const auto parts = nb::cast<nb::tuple>(found);
    form.wanted = parts[1];
    form.fortran = nb::cast<std::string>(parts[2]) == "F";
    form.size = nb::cast<std::size_t>(SPEAD_ATTRIBUTE(codec, "nbytes"));
    for (const nb::handle size : nb::cast<nb::tuple>(SPEAD_ATTRIBUTE(codec, "shape"))) form.shape.push_back(nb::cast<npy_intp>(size));
    // One element of a structured type, for example, may need its bytes swapped.
    const bool simple = !form.shape.empty() || PyDataType_ISNUMBER(reinterpret_cast<PyArray_Descr *>(parts[0].ptr()));
    if (simple && form.size > 0) form.dtype = parts[0];
    return form;
}

bool ArrayForm::matches(nb::handle value) const {
    if (!dtype.is_valid() || !PyArray_CheckExact(value.ptr())) return false;
    PyArrayObject *array = as_array(value);
    const auto *wire = reinterpret_cast<PyArray_Descr *>(dtype.ptr());
    return static_cast<std::size_t>(PyArray_NDIM(array)) == shape.size() &&
           std::equal(shape.begin(), shape.end(), PyArray_DIMS(array)) &&
           PyArray_CHKFLAGS(array, fortran ? NPY_ARRAY_F_CONTIGUOUS : NPY_ARRAY_C_CONTIGUOUS) &&
           (PyArray_DESCR(array) == wire || PyArray_EquivTypes(PyArray_DESCR(array), const_cast<PyArray_Descr *>(wire)));
}

IntegerForm IntegerForm::of(nb::handle codec) {
    IntegerForm form;
    const nb::object found = SPEAD_ATTRIBUTE(codec, "integer_form")();
    if (found.is_none()) return form;
    const auto parts = nb::cast<nb::tuple>(found);
    const auto bits = nb::cast<std::size_t>(parts[0]);
    if (bits > 56) return form;
    form.bits = static_cast<unsigned>(bits);
    form.has_sign = nb::cast<bool>(parts[1]);
    return form;
}

bool IntegerForm::encode(nb::handle value, std::uint64_t &number) const noexcept {
    if (bits == 0 || !PyLong_CheckExact(value.ptr())) return false;
    int overflow = 0;
    const long long integer = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    const long long limit = 1LL << (has_sign ? bits - 1 : bits);
    if (overflow != 0 || integer >= limit || integer < (has_sign ? -limit : 0)) return false;
    number = static_cast<std::uint64_t>(integer) & mask();
    return true;
}

nb::object IntegerForm::decode(std::uint64_t number) const {
    number &= mask();
    const bool negative = has_sign && (number >> (bits - 1)) != 0;
    return nb::steal(PyLong_FromLongLong(static_cast<long long>(negative ? number | ~mask() : number)));
}

}  // namespace spead::python
