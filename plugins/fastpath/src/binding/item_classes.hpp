// Where the Python classes of items keep what the shortcuts need. Everything here wants the GIL.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "numpy_api.hpp"

namespace spead::python {

// Offsets of slots, and classes that are compared with; filled in once by `look_up`.
struct ItemClasses {
    PyTypeObject *item = nullptr;
    PyTypeObject *sent_item = nullptr;
    PyTypeObject *heap_to_send = nullptr;
    PyTypeObject *received_heap = nullptr;
    // Of an Item.
    std::size_t id, name, codec, value, version;
    // Of a SentItem.
    std::size_t sent_of, sent_version;
    // Of a heap to send.
    std::size_t words, late_values, empty_items, payload, payload_size, prepared, flavour, repeat_pointers;

    void look_up();
};

inline ItemClasses item_classes;

// The values of an item that are arrays of one type: see Codec.array_form.
struct ArrayForm {
    // Of the bytes on the wire, and of the received value.
    nb::object dtype;
    nb::object wanted;
    std::vector<npy_intp> shape;
    bool fortran = false;
    // Of a value, in bytes.
    std::size_t size = 0;
    // The codec's; the dtype is null if it has none, or the values are neither arrays nor numbers.
    static ArrayForm of(nb::handle codec, nb::handle new_order);
    // Whether `value` is an array that goes out as it is.
    bool matches(nb::handle value) const;
};

// The values of an item that are Python integers of up to 56 bits: see Codec.integer_form.
struct IntegerForm {
    // 0 if the values are others.
    unsigned bits = 0;
    bool has_sign = false;

    static IntegerForm of(nb::handle codec);
    std::uint64_t mask() const noexcept { return (std::uint64_t{1} << bits) - 1; }
    // The value, if it is such an integer, as an unsigned number; false otherwise.
    bool encode(nb::handle value, std::uint64_t &number) const noexcept;
    nb::object decode(std::uint64_t number) const;
};

}  // namespace spead::python
