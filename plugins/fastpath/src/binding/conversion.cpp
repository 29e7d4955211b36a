#include "conversion.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "heap_type.hpp"
#include "python_objects.hpp"

namespace spead::python {

namespace {

template <typename T>
T number(nb::handle object) {
    return nb::cast<T>(object);
}

struct ObjectSegment : spead_segment {
    std::atomic<std::size_t> references{1};
    std::shared_ptr<void> object;
};

void retain(spead_segment *segment) noexcept {
    static_cast<ObjectSegment *>(segment)->references.fetch_add(1, std::memory_order_relaxed);
}

void release(spead_segment *segment) noexcept {
    auto *own = static_cast<ObjectSegment *>(segment);
    if (own->references.fetch_sub(1, std::memory_order_acq_rel) == 1) const std::unique_ptr<ObjectSegment> last(own);
}

// A one-dimensional array of int64, as offsets and sizes are.
std::span<const std::int64_t> offsets_of(nb::handle array) {
    const spead_slice memory = memory_of(array);
    return {static_cast<const std::int64_t *>(memory.data), memory.size / sizeof(std::int64_t)};
}

nb::object array_from(const std::vector<std::int64_t> &values) {
    const Names &names = Names::get();
    nb::object array = names.empty(values.size(), names.int64);
    if (!values.empty())
        std::memcpy(const_cast<void *>(memory_of(array, true).data), values.data(), values.size() * sizeof values[0]);
    return array;
}

}  // namespace

spead_slice memory_of(nb::handle buffer, bool writable) {
    Py_buffer view;
    if (PyObject_GetBuffer(buffer.ptr(), &view, PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0))) nb::raise_python_error();
    const spead_slice memory{view.buf, static_cast<std::size_t>(view.len)};
    PyBuffer_Release(&view);
    return memory;
}

SegmentRef segment_of(nb::object object, std::uint8_t *data, std::size_t size) {
    auto segment = std::make_unique<ObjectSegment>();
    segment->struct_size = sizeof(spead_segment);
    segment->data = data;
    segment->size = size;
    segment->retain = retain;
    segment->release = release;
    segment->object = keep_alive(std::move(object));
    return SegmentRef::take(segment.release());
}

nb::object batch_to_python(const spead_batch &batch) {
    const Names &names = Names::get();
    std::vector<std::int64_t> offsets;
    std::vector<std::int64_t> sizes;
    std::int64_t total = 0;
    for (std::size_t i = 0; i < batch.num_packets; i++) {
        offsets.push_back(total);
        sizes.push_back(static_cast<std::int64_t>(batch.packets[i].size));
        total += sizes.back();
    }
    nb::object block = names.empty(total, names.uint8);
    auto *target = static_cast<std::uint8_t *>(const_cast<void *>(memory_of(block, true).data));
    for (std::size_t i = 0; i < batch.num_packets; i++) {
        for (std::size_t s = 0; s < batch.packets[i].num_slices; s++) {
            const spead_slice &slice = batch.packets[i].slices[s];
            if (slice.size > 0) std::memcpy(target, slice.data, slice.size);
            target += slice.size;
        }
    }
    return names.packet_batch(block, array_from(offsets), array_from(sizes), nb::arg("destination") = batch.destination);
}

nb::object batch_to_python(const OwnedBatch &batch) {
    const spead_batch view = batch.view();
    // Offsets and sizes of the heads, then those of the bodies.
    std::array<std::vector<std::int64_t>, 4> columns;
    for (std::size_t i = 0; i < view.num_packets; i++) {
        const spead_packet &packet = view.packets[i];
        const auto add = [&](std::size_t column, std::size_t slice, const SegmentRef &segment) {
            const bool exists = slice < packet.num_slices;
            const auto *data = exists ? static_cast<const std::uint8_t *>(packet.slices[slice].data) : nullptr;
            columns[column].push_back(exists ? data - segment.data() : 0);
            columns[column + 1].push_back(exists ? static_cast<std::int64_t>(packet.slices[slice].size) : 0);
        };
        add(0, 0, batch.records());
        add(2, 1, batch.bodies());
    }
    const auto whole = [](const SegmentRef &segment) { return array_over(segment, segment.data(), segment.size()); };
    const nb::tuple bodies = batch.bodies() ? nb::make_tuple(whole(batch.bodies())) : nb::make_tuple();
    return Names::get().packet_batch(whole(batch.records()), array_from(columns[0]), array_from(columns[1]), bodies,
                                     array_from(columns[2]), array_from(columns[3]), nb::arg("adoptable") = !batch.shared());
}

BatchView::BatchView(nb::object batch) : batch_(std::move(batch)) {
    const spead_slice heads = memory_of(SPEAD_ATTRIBUTE(batch_, "heads"));
    // The arrays are kept by the batch, which cannot be changed.
    const auto head_offsets = offsets_of(SPEAD_ATTRIBUTE(batch_, "head_offsets"));
    const auto head_sizes = offsets_of(SPEAD_ATTRIBUTE(batch_, "head_sizes"));
    const auto body_offsets = offsets_of(SPEAD_ATTRIBUTE(batch_, "body_offsets"));
    const auto body_sizes = offsets_of(SPEAD_ATTRIBUTE(batch_, "body_sizes"));
    const std::size_t count = head_offsets.size();
    if (head_sizes.size() != count || body_offsets.size() != count || body_sizes.size() != count)
        throw std::invalid_argument("the arrays of a PacketBatch have different lengths");
    destination_ = number<std::size_t>(SPEAD_ATTRIBUTE(batch_, "destination"));
    const nb::tuple bodies = nb::cast<nb::tuple>(SPEAD_ATTRIBUTE(batch_, "bodies"));
    std::size_t total = 0;
    for (const nb::handle body : bodies) {
        const spead_slice memory = memory_of(body);
        bodies_.push_back({static_cast<const std::uint8_t *>(memory.data), memory.size});
        starts_.push_back(total);
        total += memory.size;
    }
    if (bodies_.size() == 1 && nb::cast<bool>(SPEAD_ATTRIBUTE(batch_, "adoptable")))
        segment_ = segment_of(nb::borrow(bodies[0]), const_cast<std::uint8_t *>(bodies_[0].data), total);

    packets_.reserve(count);
    slices_.reserve(2 * count);
    const auto outside = [](std::int64_t offset, std::int64_t size, std::size_t limit) {
        return offset < 0 || size < 0 || static_cast<std::uint64_t>(offset) > limit ||
               static_cast<std::uint64_t>(size) > limit - static_cast<std::uint64_t>(offset);
    };
    for (std::size_t i = 0; i < count; i++) {
        if (outside(head_offsets[i], head_sizes[i], heads.size) ||
            (body_sizes[i] != 0 && outside(body_offsets[i], body_sizes[i], total)))
            throw std::invalid_argument("packet " + std::to_string(i) + " of a PacketBatch lies outside its block");
        const std::size_t before = slices_.size();
        slices_.push_back({static_cast<const std::uint8_t *>(heads.data) + head_offsets[i], static_cast<std::size_t>(head_sizes[i])});
        add_body(static_cast<std::size_t>(body_offsets[i]), static_cast<std::size_t>(body_sizes[i]));
        packets_.push_back({nullptr, slices_.size() - before, static_cast<std::size_t>(head_sizes[i] + body_sizes[i])});
    }
    const spead_slice *slice = slices_.data();
    for (spead_packet &packet : packets_) {
        packet.slices = slice;
        slice += packet.num_slices;
    }
}

// A body may reach from one block into the next.
void BatchView::add_body(std::size_t offset, std::size_t size) {
    if (size == 0) return;
    auto block = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin()) - 1;
    for (; size > 0; block++) {
        const std::size_t within = offset - starts_[block];
        const std::size_t piece = std::min(size, bodies_[block].size - within);
        if (piece > 0) slices_.push_back({bodies_[block].data + within, piece});
        offset += piece;
        size -= piece;
    }
}

spead_batch BatchView::view() const noexcept {
    return {sizeof(spead_batch), packets_.data(), packets_.size(), destination_, segment_.get()};
}

}  // namespace spead::python
