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

// References that were checked, with the heaps' final numbers; to be sent once.
class NumberedHeaps {
public:
    // `references`: a HeapReferenceList; `sequence`: a CntSequence. Throws OSError as Python's number_heaps does.
    NumberedHeaps(nb::object references, nb::handle sequence, std::size_t num_substreams, bool keeps_rate);
    // The same for one heap; throws TypeError if it is none.
    NumberedHeaps(nb::object heap, nb::handle cnt, nb::handle substream_index, nb::handle rate, nb::handle sequence,
                  std::size_t num_substreams, bool keeps_rate);

    std::size_t size() const noexcept { return size_; }
    // Of all heaps together, in bytes.
    std::uint64_t payload_size() const noexcept { return payload_size_; }
    // Keeps the memory that the heaps point to.
    const nb::object &references() const noexcept { return references_; }
    // The heaps; throws std::logic_error if they were taken before.
    std::vector<OutgoingHeap> take();

private:
    void take_numbers(nb::handle sequence, const std::vector<bool> &unnumbered);

    nb::object references_;
    std::vector<OutgoingHeap> heaps_;
    std::size_t size_ = 0;
    std::uint64_t payload_size_ = 0;
};

// A sequence of Python's NumberedHeap. What the result points to is kept by them.
std::vector<OutgoingHeap> outgoing_heaps(nb::handle numbered);

}  // namespace spead::python
