#include "heap_items.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "byte_order.hpp"
#include "heap_type.hpp"
#include "item_places.hpp"
#include "numpy_api.hpp"
#include "packet_header.hpp"
#include "python_objects.hpp"

namespace spead::python {

namespace {

constexpr std::uint64_t descriptor_id = 5;

// A heap that is as it arrived, and where its items are.
struct Located {
    nb::object payload;
    unsigned address_bits;
    ItemPlaces places;
};

std::optional<Located> locate(nb::handle heap) {
    Located located;
    located.payload = SPEAD_ATTRIBUTE(heap, "payload");
    const auto pointers = pointers_of(heap);
    if (!pointers || !is_vector(located.payload, NPY_UINT8)) return std::nullopt;
    located.address_bits = nb::cast<unsigned>(SPEAD_ATTRIBUTE(SPEAD_ATTRIBUTE(heap, "flavour"), "heap_address_bits"));
    const auto size = static_cast<std::size_t>(PyArray_DIM(as_array(located.payload), 0));
    if (!find_items(*pointers, located.address_bits, size, located.places)) return std::nullopt;
    return located;
}

// A RawItem of `size` bytes, at `data` or, if that is null, in memory of its own.
nb::object make_item(std::uint64_t id, void *data, std::size_t size, int flags) {
    const Names &names = Names::get();
    auto *type = reinterpret_cast<PyTypeObject *>(names.raw_item.ptr());
    auto *bytes = reinterpret_cast<PyArray_Descr *>(nb::object(names.uint8).release().ptr());  // taken over
    const auto count = static_cast<npy_intp>(size);
    nb::object item = nb::steal(PyArray_NewFromDescr(type, bytes, 1, &count, nullptr, data, flags, nullptr));
    if (!item.is_valid()) nb::raise_python_error();
    SPEAD_SET_ATTRIBUTE(item, "id", nb::cast(id));
    return item;
}

nb::object addressed_item(const ItemPlaces::Addressed &place, nb::object payload) {
    auto *data = static_cast<std::uint8_t *>(PyArray_DATA(as_array(payload))) + place.start;
    const int flags = PyArray_FLAGS(as_array(payload)) & NPY_ARRAY_WRITEABLE;
    nb::object item = make_item(place.id, data, place.end - place.start, flags | NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED);
    if (PyArray_SetBaseObject(as_array(item), payload.release().ptr()) < 0) nb::raise_python_error();
    return item;
}

nb::object immediate_item(const ItemPlaces::Immediate &place, unsigned address_bits) {
    const std::size_t size = address_bits / 8;
    std::uint8_t bytes[word_size];
    store_word(bytes, place.value);
    nb::object item = make_item(place.id, nullptr, size, 0);
    std::copy_n(bytes + word_size - size, size, static_cast<std::uint8_t *>(PyArray_DATA(as_array(item))));
    SPEAD_SET_ATTRIBUTE(item, "is_immediate", nb::bool_(true));
    SPEAD_SET_ATTRIBUTE(item, "immediate_value", nb::cast(place.value));
    return item;
}

// What `body` makes of a heap and its items; if they are unusual, what the package's class makes of it.
template <typename Body>
PyObject *native_or(const char *method, PyObject *heap, Body body) noexcept {
    try {
        const std::optional<Located> located = locate(heap);
        return located ? body(*located).release().ptr() : nb::object(Names::get().heap.attr(method)(nb::handle(heap))).release().ptr();
    } catch (nb::python_error &exception) {
        exception.restore();
    } catch (const std::exception &exception) {  // no memory
        PyErr_SetString(PyExc_MemoryError, exception.what());
    }
    return nullptr;
}

}  // namespace

PyObject *locate_items(PyObject *heap, PyObject *) noexcept {
    return native_or("locate_items", heap, [](const Located &located) -> nb::object {
        nb::list addressed;
        nb::list immediate;
        for (const auto &place : located.places.addressed) addressed.append(nb::make_tuple(place.id, place.start, place.end));
        for (const auto &place : located.places.immediate) immediate.append(nb::make_tuple(place.id, place.value));
        return nb::make_tuple(addressed, immediate);
    });
}

PyObject *get_items(PyObject *heap, PyObject *) noexcept {
    return native_or("get_items", heap, [](const Located &located) -> nb::object {
        nb::list items;
        for (const auto &place : located.places.addressed)
            if (place.id != descriptor_id) items.append(addressed_item(place, located.payload));
        for (const auto &place : located.places.immediate)
            if (place.id != descriptor_id) items.append(immediate_item(place, located.address_bits));
        return items;
    });
}

}  // namespace spead::python
