// Received heaps as Python objects.
//
// A stream of small heaps makes millions of them a second, most of which have few of their attributes looked at. The type
// is a subclass of the package's Heap, in C, that makes the arrays of an item's pointers and payload when they are first
// asked for.
#pragma once

#include <nanobind/nanobind.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "received_heap.hpp"

namespace spead::python {

namespace nb = nanobind;

// Make the type and add it to the module.
void define_heap_type(nb::module_ &module);

// The item pointers of a heap of this type, as they arrived; nothing if it is none.
std::optional<std::span<const std::uint64_t>> pointers_of(nb::handle heap);

// An array of the bytes of a segment, which it keeps.
nb::object array_over(SegmentRef segment, std::uint8_t *data, std::size_t size);

// Turns received heaps into Python objects, with the flavours of one stream.
class HeapMaker {
public:
    // `bug_compat`: BUG_COMPAT_* flags of the flavours.
    explicit HeapMaker(int bug_compat) : bug_compat_(bug_compat) {}

    nb::object make(ReceivedHeap &&heap);

private:
    nb::object flavour(unsigned heap_address_bits);

    int bug_compat_;
    std::array<nb::object, 8> flavours_;
};

}  // namespace spead::python
