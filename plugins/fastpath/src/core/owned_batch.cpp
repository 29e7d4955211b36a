#include "owned_batch.hpp"

#include <algorithm>
#include <new>

#include "gather.hpp"

namespace spead {

namespace {

SegmentRef allocate(std::size_t size) {
    SegmentRef segment = SegmentPool::shared().allocate(size);
    if (!segment) throw std::bad_alloc();
    return segment;
}

}  // namespace

OwnedBatch::OwnedBatch(const spead_batch &batch, std::size_t count) : num_packets_(count) {
    std::size_t head_bytes = 0;
    for (std::size_t i = 0; i < count; i++) {
        const spead_packet &packet = batch.packets[i];
        num_bytes_ += packet.size;
        if (packet.num_slices > 0) head_bytes += packet.slices[0].size;
    }
    const std::size_t body_bytes = num_bytes_ - head_bytes;
    const std::size_t record_bytes = count * (sizeof(spead_packet) + 2 * sizeof(spead_slice));
    records_ = allocate(record_bytes + head_bytes);
    if (body_bytes > 0) bodies_ = allocate(body_bytes);

    auto *packets = reinterpret_cast<spead_packet *>(records_.data());
    auto *slices = reinterpret_cast<spead_slice *>(packets + count);
    Gatherer heads(records_.data() + record_bytes);
    Gatherer bodies(body_bytes > 0 ? bodies_.data() : nullptr);
    for (std::size_t i = 0; i < count; i++) {
        const spead_packet &packet = batch.packets[i];
        spead_slice *head = slices + 2 * i;
        ::new (packets + i) spead_packet{head, std::min<std::size_t>(packet.num_slices, 2), packet.size};
        if (packet.num_slices == 0) continue;
        ::new (head) spead_slice{heads.add(packet.slices[0]), packet.slices[0].size};
        if (packet.num_slices == 1) continue;
        std::uint8_t *body = bodies.add(packet.slices[1]);
        for (std::size_t s = 2; s < packet.num_slices; s++) bodies.add(packet.slices[s]);
        ::new (head + 1) spead_slice{body, packet.size - packet.slices[0].size};
    }
}

spead_batch OwnedBatch::view() const noexcept {
    return {sizeof(spead_batch), reinterpret_cast<const spead_packet *>(records_.data()), num_packets_, 0, shared_ ? nullptr : bodies_.get()};
}

}  // namespace spead
