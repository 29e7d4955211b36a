// Heaps to send, as the native engine takes them over from Python. Everything here wants the GIL.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "heap_encoder.hpp"

namespace spead::python {

namespace nb = nanobind;

// A heap's layout, kept with the heap until something is added to it.
struct PreparedHeap {
    // An immediate value that is read when the heap is sent: big-endian bytes, which the heap keeps.
    struct LateValue {
        std::size_t pointer;
        spead_slice bytes;
    };

    std::shared_ptr<const HeapLayout> layout;
    std::vector<LateValue> late_values;
    unsigned heap_address_bits;

    // The layout with the values as they are now.
    std::shared_ptr<const HeapLayout> current() const;
};

// Look up the classes that heaps to send are made of; to be called once, before anything else here.
void define_numbered_heaps(nb::module_ &module);

// Heaps with their final numbers. Somebody else keeps the memory alive that they point to: the Python objects do.
struct NumberedHeaps {
    std::vector<OutgoingHeap> heaps;
    // Of all heaps together, in bytes.
    std::uint64_t payload_size = 0;
};

// Checks heaps that are to be sent, and gives them their numbers, as number_heaps of Python does.
class HeapNumbering {
public:
    // `sequence`: a CntSequence.
    HeapNumbering(nb::object sequence, std::size_t num_substreams, bool keeps_rate);

    // Those of a HeapReferenceList. Throws OSError as number_heaps.
    NumberedHeaps group(nb::handle references) const;
    // Of one heap; throws TypeError if it is none.
    NumberedHeaps one(nb::handle heap, nb::handle cnt, nb::handle substream_index, nb::handle rate) const;

private:
    const nb::object sequence_;
    const std::size_t num_substreams_;
    const bool keeps_rate_;
};

// A sequence of Python's NumberedHeap. What the result points to is kept by them.
std::vector<OutgoingHeap> outgoing_heaps(nb::handle numbered);

}  // namespace spead::python
