// Python's packet batches and heap layouts, and their native counterparts. Everything here wants the GIL.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <vector>

#include "owned_batch.hpp"
#include "segment.hpp"
#include "spead_transport.h"

namespace spead::python {

namespace nb = nanobind;

// A PacketBatch with a copy of the packets, each in one piece.
nb::object batch_to_python(const spead_batch &batch);

// A PacketBatch that shares the memory of `batch`, and gives it away.
nb::object batch_to_python(const OwnedBatch &batch);

// The packets of a PacketBatch, which is kept as long as this object.
class BatchView {
public:
    BatchView() = default;
    // Throws std::invalid_argument if a packet lies outside its block.
    explicit BatchView(nb::object batch);

    spead_batch view() const noexcept;
    // Let go of the batch; or, without the GIL, leave it to itself.
    void reset() { *this = {}; }
    void release() noexcept { batch_.release(); }

private:
    struct Block {
        const std::uint8_t *data;
        std::size_t size;
    };
    void add_body(std::size_t offset, std::size_t size);

    nb::object batch_;
    std::vector<Block> bodies_;
    std::vector<std::size_t> starts_;
    std::vector<spead_packet> packets_;
    std::vector<spead_slice> slices_;
    std::size_t destination_ = 0;
    SegmentRef segment_;
};

// Memory of a Python object as a segment: an array, say. `size` bytes at `data`.
SegmentRef segment_of(nb::object object, std::uint8_t *data, std::size_t size);

// The address and size of a contiguous buffer. Valid as long as the object is.
spead_slice memory_of(nb::handle buffer, bool writable = false);

}  // namespace spead::python
