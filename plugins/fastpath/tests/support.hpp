// Heaps, packets and endpoints to test with.
#pragma once

#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "heap_assembler.hpp"
#include "heap_encoder.hpp"
#include "segment.hpp"

namespace support {

using Bytes = std::vector<std::uint8_t>;

inline Bytes numbered_bytes(std::size_t size, std::uint8_t first = 1) {
    Bytes bytes(size);
    std::iota(bytes.begin(), bytes.end(), first);
    return bytes;
}

// A heap with one item, which lies in `payload`.
inline spead::OutgoingHeap heap_of(std::uint64_t cnt, const Bytes &payload) {
    spead::HeapLayout layout;
    layout.pointers = {std::uint64_t{0x1000} << 40};
    if (!payload.empty()) layout.payload = {{payload.data(), payload.size()}};
    layout.payload_size = payload.size();
    spead::OutgoingHeap heap;
    heap.cnt = cnt;
    heap.layout = std::make_shared<const spead::HeapLayout>(std::move(layout));
    return heap;
}

// All packets of some heaps, each in one piece.
inline std::vector<Bytes> packets_of(const std::vector<spead::OutgoingHeap> &heaps, spead::GroupMode mode,
                                     const spead::EncoderConfig &config) {
    spead::GroupEncoder encoder(heaps, mode, config);
    spead::OutgoingBatch batch;
    std::vector<Bytes> result;
    while (encoder.next(batch)) {
        const spead_batch view = batch.view();
        for (std::size_t i = 0; i < view.num_packets; i++) {
            Bytes packet;
            for (std::size_t s = 0; s < view.packets[i].num_slices; s++) {
                const auto *data = static_cast<const std::uint8_t *>(view.packets[i].slices[s].data);
                packet.insert(packet.end(), data, data + view.packets[i].slices[s].size);
            }
            result.push_back(std::move(packet));
        }
    }
    return result;
}

// A batch of whole packets, which must outlive it.
class WholePackets {
public:
    explicit WholePackets(const std::vector<Bytes> &packets) {
        for (const Bytes &packet : packets) slices_.push_back({packet.data(), packet.size()});
        for (const spead_slice &slice : slices_) packets_.push_back({&slice, 1, slice.size});
    }
    spead_batch view() const { return {sizeof(spead_batch), packets_.data(), packets_.size(), 0, nullptr}; }

private:
    std::vector<spead_slice> slices_;
    std::vector<spead_packet> packets_;
};

inline Bytes payload_of(const spead::ReceivedHeap &heap) { return Bytes(heap.payload, heap.payload + heap.length); }

}  // namespace support
