#include "chunk_placement.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "byte_order.hpp"

namespace spead {

namespace {

// Says what is wrong if [start, start + size) is not inside [0, limit); `size` is not negative.
std::string outside(const char *what, std::int64_t start, std::int64_t size, std::size_t limit, const char *where) {
    const auto end = static_cast<std::int64_t>(limit);
    if (start >= 0 && start <= end && size <= end - start) return {};
    return std::string(what) + "=" + std::to_string(start) + " and " + std::to_string(size) + " from there on do not fit " +
           where + ", which has " + std::to_string(limit);
}

}  // namespace

ChunkPlacement::ChunkPlacement(PlacementConfig config, std::shared_ptr<Placer> placer, std::shared_ptr<WindowMember> member)
    : config_(std::move(config)),
      placer_(std::move(placer)),
      member_(std::move(member)),
      statistics_{std::vector<std::uint64_t>(config_.stats_are_maxima.size()), 0, 0, 0},
      batch_stats_(config_.num_core_stats + config_.stats_are_maxima.size()) {
    single_.indices.reserve(1);
}

void ChunkPlacement::prepare(Packets packets, std::span<const std::size_t> beginnings, double now, Notices &notices) {
    single_.indices.clear();
    batch_.indices.assign(beginnings.begin(), beginnings.end());
    if (!beginnings.empty()) ask(batch_, packets, now, notices);
}

ChunkPlacement::Begin ChunkPlacement::begin(Packets packets, std::size_t index, std::int64_t length, double now,
                                            Notices &notices, HeapPlace &place) {
    const HeapToPlace *heap = place_of(packets, index, now, notices);
    if (!heap) {
        statistics_.misplaced_heaps++;
        return Begin::placed;
    }
    if (heap->chunk_id < 0) {
        statistics_.rejected_heaps++;
        return Begin::placed;
    }
    OpenChunk *found = nullptr;
    switch (member_->find(static_cast<std::uint64_t>(heap->chunk_id), found)) {
        case WindowMember::Find::found: break;
        case WindowMember::Find::too_old: statistics_.too_old_heaps++; return Begin::placed;
        case WindowMember::Find::blocked: return Begin::blocked;
        case WindowMember::Find::stopped: return Begin::stopped;
    }
    Chunk &chunk = found->chunk;
    if (const std::string problem = problem_with(*heap, chunk, length); !problem.empty()) {
        statistics_.misplaced_heaps++;
        if (notices.due(Notices::misplaced, now))
            notices.add(Notices::misplaced, now,
                        "a heap of " + std::to_string(length) + " bytes was placed outside its chunk: " + problem);
        return Begin::placed;
    }
    if (heap->extra_size > 0)
        std::memcpy(chunk.extra.data() + heap->extra_offset, heap->extra, static_cast<std::size_t>(heap->extra_size));
    place = {found, static_cast<std::size_t>(heap->heap_index), chunk.data.data() + heap->heap_offset};
    return Begin::placed;
}

void ChunkPlacement::arrived(const HeapPlace &place, Packets packets, std::int64_t length) const noexcept {
    if (config_.packet_size == 0 || !place.chunk) return;
    std::uint8_t *present = place.chunk->chunk.present.data() + place.heap_index;
    for (const DecodedPacket &packet : packets) {
        const std::int64_t offset = packet.header.payload_offset;
        // An empty packet at the end of a heap is none of its packets.
        if (offset < std::max<std::int64_t>(length, 1)) present[offset / config_.packet_size] = 1;
    }
}

void ChunkPlacement::finish(const HeapPlace &place) noexcept {
    if (place.chunk && config_.packet_size == 0) place.chunk->chunk.present[place.heap_index] = 1;
}

void ChunkPlacement::finish(const HeapLodging &lodging, bool complete) noexcept {
    if (!lodging || !complete) return;
    const HeapPlace place = lodging.place();
    if (place.chunk)
        finish(place);
    else
        statistics_.too_old_heaps++;
}

// What the placer says about the heap that starts with packet `index`; null if it failed.
const HeapToPlace *ChunkPlacement::place_of(Packets packets, std::size_t index, double now, Notices &notices) {
    const auto at = std::lower_bound(batch_.indices.begin(), batch_.indices.end(), index);
    if (at != batch_.indices.end() && *at == index)
        return batch_.failed ? nullptr : &batch_.heaps[static_cast<std::size_t>(at - batch_.indices.begin())];
    if (single_.indices.empty() || single_.indices[0] != index) {
        single_.indices.assign(1, index);
        ask(single_, packets, now, notices);
    }
    return single_.failed ? nullptr : &single_.heaps[0];
}

void ChunkPlacement::ask(Answers &answers, Packets packets, double now, Notices &notices) {
    const std::size_t count = answers.indices.size();
    const std::size_t num_items = config_.items.size();
    answers.items.resize(count * num_items);
    answers.extra.assign(count * config_.max_heap_extra, 0);
    answers.heaps.assign(count, {});
    for (std::size_t i = 0; i < count; i++) {
        HeapToPlace &heap = answers.heaps[i];
        heap.packet = &packets[answers.indices[i]];
        std::int64_t *items = answers.items.data() + i * num_items;
        read_items(heap.packet->header, items);
        heap.items = items;
        if (config_.max_heap_extra > 0) heap.extra = answers.extra.data() + i * config_.max_heap_extra;
    }
    if (!config_.stats_are_maxima.empty()) std::fill(batch_stats_.begin(), batch_stats_.end(), 0);
    const std::string error = placer_->place(answers.heaps, batch_stats_);
    answers.failed = !error.empty();
    if (!answers.failed)
        add_stats();
    else if (notices.due(Notices::placement_failed, now))
        notices.add(Notices::placement_failed, now, "the placement of " + std::to_string(count) + " heaps failed: " + error);
}

void ChunkPlacement::read_items(const PacketHeader &header, std::int64_t *values) const noexcept {
    const unsigned bits = header.heap_address_bits;
    const std::uint64_t flag = immediate_flag >> bits;
    for (std::size_t column = 0; column < config_.items.size(); column++) {
        const std::uint64_t id = config_.items[column];
        std::int64_t &value = values[column];
        switch (id) {
            case heap_cnt_id: value = static_cast<std::int64_t>(header.heap_cnt); continue;
            case heap_length_id: value = header.heap_length; continue;
            case payload_offset_id: value = header.payload_offset; continue;
            case payload_length_id: value = header.payload_size; continue;
            default: value = -1;
        }
        // Of several items with one id, the last counts.
        for (std::uint32_t i = header.num_pointers; i-- > (header.canonical ? 4 : 0);) {
            const std::uint64_t pointer = load_word(header.pointers + word_size * i);
            if (pointer >> bits != (flag | id) || !header.is_other(pointer)) continue;
            value = static_cast<std::int64_t>(pointer & address_mask(bits));
            break;
        }
    }
}

void ChunkPlacement::add_stats() noexcept {
    for (std::size_t i = 0; i < statistics_.custom.size(); i++) {
        std::uint64_t &value = statistics_.custom[i];
        const std::uint64_t added = batch_stats_[config_.num_core_stats + i];
        value = config_.stats_are_maxima[i] ? std::max(value, added) : value + added;
    }
}

// Why a heap of `length` bytes may not go there; empty if it may.
std::string ChunkPlacement::problem_with(const HeapToPlace &heap, const Chunk &chunk, std::int64_t length) const {
    const std::int64_t elements = config_.packet_size ? std::max<std::int64_t>(0, length - 1) / config_.packet_size + 1 : 1;
    std::string problem = outside("heap_offset", heap.heap_offset, length, chunk.data.size(), "data");
    if (problem.empty()) problem = outside("heap_index", heap.heap_index, elements, chunk.present.size(), "present");
    if (problem.empty()) problem = outside("extra_size", heap.extra_size, 0, config_.max_heap_extra, "max_heap_extra");
    if (problem.empty() && heap.extra_size > 0)
        problem = outside("extra_offset", heap.extra_offset, heap.extra_size, chunk.extra.size(), "extra");
    return problem;
}

}  // namespace spead
