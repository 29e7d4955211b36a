#include "heap_encoder.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "byte_order.hpp"
#include "pacer.hpp"
#include "packet_header.hpp"

namespace spead {

namespace {

// Small heaps are put together up to about this much, in bytes: enough to make the cost of a batch vanish.
constexpr std::uint64_t batch_bytes = 1 << 18;
// A heap is not cut before it is this large, in packets, so that a receiver in the same process can take it whole.
constexpr std::size_t batch_packets = 1 << 15;
// All of a heap's payload goes behind its headers if it is no larger than this, in bytes ...
constexpr std::uint64_t small_heap = 512;
// ... and pieces of payload that are smaller than this are put together.
constexpr std::size_t small_piece = 512;
constexpr std::size_t chunk_size = 1 << 16;

std::size_t count_destinations(std::span<const OutgoingHeap> heaps) {
    const auto is_first = [&](const OutgoingHeap &heap) { return heap.destination == heaps.front().destination; };
    if (std::all_of(heaps.begin(), heaps.end(), is_first)) return 1;
    std::vector<std::size_t> all;
    for (const OutgoingHeap &heap : heaps) all.push_back(heap.destination);
    std::sort(all.begin(), all.end());
    return static_cast<std::size_t>(std::unique(all.begin(), all.end()) - all.begin());
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------ memory

std::uint8_t *ScratchArena::allocate(std::size_t size) {
    while (chunk_ < chunks_.size() && used_ + size > chunks_[chunk_].size) {
        chunk_++;
        used_ = 0;
    }
    if (chunk_ == chunks_.size()) {
        const std::size_t capacity = std::max(size, chunk_size);
        chunks_.push_back({std::make_unique_for_overwrite<std::uint8_t[]>(capacity), capacity});
    }
    return chunks_[chunk_].memory.get() + std::exchange(used_, used_ + size);
}

void ScratchArena::clear() noexcept {
    chunk_ = 0;
    used_ = 0;
}

spead_batch OutgoingBatch::view(std::size_t first) const noexcept {
    return {sizeof(spead_batch), packets_.data() + first, packets_.size() - first, destination_, nullptr};
}

std::uint64_t OutgoingBatch::size_of(std::size_t first, std::size_t last) const noexcept {
    if (first == 0 && last == packets_.size()) return num_bytes_;
    std::uint64_t size = 0;
    for (; first < last; first++) size += packets_[first].size;
    return size;
}

void OutgoingBatch::clear() noexcept {
    packets_.clear();
    slices_.clear();
    arena_.clear();
    num_bytes_ = 0;
}

// The slices no longer move: let the packets point to them.
void OutgoingBatch::seal() noexcept {
    const spead_slice *slice = slices_.data();
    for (spead_packet &packet : packets_) {
        packet.slices = slice;
        slice += packet.num_slices;
    }
}

// ------------------------------------------------------------------------------------------------------------ packets

PacketCursor::PacketCursor(const OutgoingHeap &heap, std::size_t max_packet_size)
    : heap_(&heap),
      layout_(heap.layout.get()),
      plan_(layout_->pointers.size(), layout_->payload_size, heap.heap_address_bits, max_packet_size, heap.repeat_pointers),
      small_(plan_.payload_size <= small_heap) {
    measure();
}

void PacketCursor::measure() noexcept {
    count_ = plan_.repeat_pointers ? plan_.num_pointers : std::min(plan_.pointers_per_packet, plan_.num_pointers - pointer_);
    head_size_ = prefix_size + word_size * count_;
    body_size_ = std::min<std::uint64_t>(plan_.max_packet_size - head_size_, plan_.payload_size - offset_);
}

void PacketCursor::append(std::vector<spead_slice> &slices, ScratchArena &arena) {
    const std::size_t inside = small_ ? static_cast<std::size_t>(body_size_) : 0;
    std::uint8_t *head = arena.allocate(head_size_ + inside);
    write_head(head);
    slices.push_back({head, head_size_ + inside});
    if (small_)
        copy_body(head + head_size_, body_size_);
    else
        append_body(slices, arena);
    offset_ += body_size_;
    if (!plan_.repeat_pointers) pointer_ += count_;
    packet_++;
    if (!done()) measure();
}

std::size_t PacketCursor::num_alike() const noexcept {
    const bool has_own_pointers = count_ > 0 && !plan_.repeat_pointers;
    if (small_ || has_own_pointers || block_ == layout_->payload.size()) return 0;
    const std::size_t full = plan_.max_packet_size - head_size_;
    return full < small_piece ? 0 : (layout_->payload[block_].size - block_offset_) / full;
}

void PacketCursor::append_alike(std::vector<spead_slice> &slices, ScratchArena &arena, std::size_t count) {
    const auto body_size = static_cast<std::size_t>(body_size_);
    std::uint8_t *head = arena.allocate(count * head_size_);
    const auto *body = static_cast<const std::uint8_t *>(next_piece(count * body_size).data);
    slices.resize(slices.size() + 2 * count);
    spead_slice *slice = slices.data() + slices.size() - 2 * count;
    for (std::size_t i = 0; i < count; i++, slice += 2) {
        write_head(head);
        slice[0] = {head, head_size_};
        slice[1] = {body, body_size};
        head += head_size_;
        body += body_size;
        offset_ += body_size;
    }
    advance(count * body_size);
    packet_ += count;
    if (!done()) measure();
}

void PacketCursor::write_head(std::uint8_t *head) const noexcept {
    const unsigned bits = heap_->heap_address_bits;
    store_word(head, header_word(bits) + count_ + 4);
    store_word(head + 8, immediate(heap_cnt_id, bits) | heap_->cnt);
    store_word(head + 16, immediate(heap_length_id, bits) | plan_.payload_size);
    store_word(head + 24, immediate(payload_offset_id, bits) | offset_);
    store_word(head + 32, immediate(payload_length_id, bits) | body_size_);
    std::uint8_t *at = head + prefix_size;
    for (std::size_t i = pointer_; i < pointer_ + count_; i++, at += word_size)
        store_word(at, pointer(i));
}

std::uint64_t PacketCursor::pointer(std::size_t index) const noexcept {
    if (index == layout_->pointers.size()) return layout_->payload_size;  // the NULL pointer: its id is 0
    const std::uint64_t pointer = layout_->pointers[index];
    // Empty items at the end stay there: if the NULL pointer came before theirs, they would get the zeros.
    const bool at_end = (pointer & (immediate_flag | address_mask(heap_->heap_address_bits))) == layout_->payload_size;
    return pointer + (at_end ? plan_.padding : 0);
}

// Large pieces by reference, with neighbouring small ones copied into one.
void PacketCursor::append_body(std::vector<spead_slice> &slices, ScratchArena &arena) {
    for (std::uint64_t left = body_size_; left > 0; left -= slices.back().size) {
        const spead_slice piece = next_piece(left);
        if (piece.data && (piece.size >= small_piece || piece.size == left)) {
            slices.push_back(piece);
            advance(piece.size);
        } else {
            const std::size_t size = small_pieces(left);
            std::uint8_t *copy = arena.allocate(size);
            copy_body(copy, size);
            slices.push_back({copy, size});
        }
    }
}

// Size of the small pieces that come next, together, in bytes.
std::size_t PacketCursor::small_pieces(std::uint64_t limit) const noexcept {
    PacketCursor ahead = *this;
    std::uint64_t size = 0;
    while (size < limit) {
        const spead_slice piece = ahead.next_piece(limit - size);
        if (piece.data && piece.size >= small_piece) break;
        ahead.advance(piece.size);
        size += piece.size;
    }
    return static_cast<std::size_t>(size);
}

void PacketCursor::copy_body(std::uint8_t *target, std::uint64_t size) {
    while (size > 0) {
        const spead_slice piece = next_piece(size);
        if (piece.data)
            std::memcpy(target, piece.data, piece.size);
        else
            std::memset(target, 0, piece.size);
        advance(piece.size);
        target += piece.size;
        size -= piece.size;
    }
}

// Payload from here on, at most `limit` bytes, as far as it lies in one piece; behind the last block the zeros of the
// padding, which have no address.
spead_slice PacketCursor::next_piece(std::uint64_t limit) const noexcept {
    if (block_ == layout_->payload.size()) return {nullptr, static_cast<std::size_t>(limit)};
    const spead_slice &block = layout_->payload[block_];
    return {static_cast<const std::uint8_t *>(block.data) + block_offset_,
            static_cast<std::size_t>(std::min<std::uint64_t>(limit, block.size - block_offset_))};
}

void PacketCursor::advance(std::size_t size) noexcept {
    if (block_ == layout_->payload.size()) return;
    block_offset_ += size;
    if (block_offset_ == layout_->payload[block_].size) {
        block_++;
        block_offset_ = 0;
    }
}

// ------------------------------------------------------------------------------------------------------------- groups

GroupEncoder::GroupEncoder(std::span<const OutgoingHeap> heaps, GroupMode mode, const EncoderConfig &config)
    : config_(config), mode_(mode) {
    cursors_.reserve(heaps.size());
    for (const OutgoingHeap &heap : heaps) cursors_.emplace_back(heap, config.max_packet_size);
    order_.resize(heaps.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});

    if (const std::size_t num_destinations = count_destinations(heaps); num_destinations > 1)
        sort_by_destination(heaps, window(num_destinations, heaps));
    start_run(0);
}

void GroupEncoder::sort_by_destination(std::span<const OutgoingHeap> heaps, std::uint64_t limit) {
    if (mode_ == GroupMode::round_robin) {
        const std::uint64_t turns = limit / (heaps.size() * config_.max_packet_size);
        if (turns == 0) return;
        turns_ = turns;
    }
    std::vector<std::pair<std::uint64_t, std::size_t>> keys;
    std::uint64_t start = 0;
    for (const OutgoingHeap &heap : heaps) {
        keys.emplace_back(mode_ == GroupMode::serial ? start / limit : 0, heap.destination);
        start += heap.layout->payload_size;
    }
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
}

// Within how many bytes packets for different destinations may change places: packets for one destination go out together as
// cheaply as one.
std::uint64_t GroupEncoder::window(std::size_t num_destinations, std::span<const OutgoingHeap> heaps) const noexcept {
    std::uint64_t limit = batch_bytes * num_destinations;
    for (const OutgoingHeap &heap : heaps)
        if (const double rate = rate_of(heap); rate > 0) limit = std::min(limit, burst_limit(config_.burst_size, rate));
    return limit;
}

bool GroupEncoder::next(OutgoingBatch &batch) {
    batch.clear();
    PacketCursor *cursor = current();
    if (!cursor) return false;
    batch.destination_ = cursor->heap().destination;
    batch.rate_ = rate_of(cursor->heap());
    while (cursor && fits(batch, *cursor)) {
        append(batch, *cursor);
        advance(*cursor);
        cursor = current();
    }
    batch.seal();
    return true;
}

// The next packet of a heap, or several that look alike if no other heap has its turn in between.
void GroupEncoder::append(OutgoingBatch &batch, PacketCursor &cursor) const {
    const std::size_t size = cursor.next_size();
    const bool many = mode_ == GroupMode::serial && batch.rate_ <= 0;
    const std::size_t alike = many ? std::min(cursor.num_alike(), room(batch)) : 0;
    if (alike > 0) {
        cursor.append_alike(batch.slices_, batch.arena_, alike);
        batch.packets_.resize(batch.packets_.size() + alike, {nullptr, 2, size});
        batch.num_bytes_ += alike * size;
    } else {
        const std::size_t before = batch.slices_.size();
        cursor.append(batch.slices_, batch.arena_);
        batch.packets_.push_back({nullptr, batch.slices_.size() - before, size});
        batch.num_bytes_ += size;
    }
}

// The heap whose packet is next; null at the end.
PacketCursor *GroupEncoder::current() noexcept { return order_.size() == turn_ ? nullptr : &cursors_[order_[turn_]]; }

void GroupEncoder::advance(const PacketCursor &cursor) {
    if (mode_ == GroupMode::serial) {
        if (cursor.done()) turn_++;
        return;
    }
    if (cursor.done()) {
        order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(turn_));
        run_last_--;
    } else {
        turn_++;
    }
    if (turn_ < run_last_) return;
    if (--turns_left_ > 0 && run_first_ < run_last_)
        turn_ = run_first_;
    else
        start_run(run_last_ == order_.size() ? 0 : run_last_);
}

// Begin with the heaps for the destination of the heap in that place.
void GroupEncoder::start_run(std::size_t first) noexcept {
    turn_ = run_first_ = run_last_ = first;
    turns_left_ = turns_;
    while (run_last_ < order_.size() && cursors_[order_[run_last_]].heap().destination == cursors_[order_[first]].heap().destination)
        run_last_++;
}

// How many more packets a batch may have.
std::size_t GroupEncoder::room(const OutgoingBatch &batch) const noexcept {
    const std::size_t most = config_.largest_batch > 0 ? std::min(config_.largest_batch, batch_packets) : batch_packets;
    return most - batch.num_packets();
}

bool GroupEncoder::fits(const OutgoingBatch &batch, const PacketCursor &cursor) const noexcept {
    if (batch.empty()) return true;
    const OutgoingHeap &heap = cursor.heap();
    if (heap.destination != batch.destination_ || rate_of(heap) != batch.rate_) return false;
    if (room(batch) == 0) return false;
    if (batch.rate_ > 0) return batch.num_bytes_ + cursor.next_size() <= burst_limit(config_.burst_size, batch.rate_);
    if (mode_ == GroupMode::round_robin) return batch.num_bytes_ < batch_bytes;
    return !cursor.at_start() || batch.num_bytes_ + cursor.payload_size() <= batch_bytes;
}

double GroupEncoder::rate_of(const OutgoingHeap &heap) const noexcept { return heap.rate < 0 ? config_.rate : heap.rate; }

}  // namespace spead
