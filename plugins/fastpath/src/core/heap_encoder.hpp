// Heaps in, packets out. Does no I/O.
//
// A group of heaps is encoded batch by batch, each for one destination and at one rate. Packets for different destinations
// may change places within about a batch, so that batches are large. The batches reference the heaps' memory; what is small is copied behind or beside the headers, so that a packet never has very many slices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "packet_plan.hpp"
#include "spead_transport.h"

namespace spead {

// The part of send.StreamConfig that concerns the encoder.
struct EncoderConfig {
    // In bytes.
    std::size_t max_packet_size = 1472;
    // Bytes per second for heaps that do not say; 0 is unlimited.
    double rate = 0.0;
    // Of a batch with a rate, in bytes.
    std::size_t burst_size = 65536;
    // Largest number of packets worth offering to the transport at a time; 0 if there is no limit.
    std::size_t largest_batch = 0;
};

enum class GroupMode : std::uint8_t {
    round_robin,  // one packet of each heap in turn
    serial,       // heap after heap
};

// A heap, encoded but not yet cut into packets. Somebody else keeps the memory alive that it points to.
struct HeapLayout {
    // Item pointers without the four that every packet has, in the machine's byte order.
    std::vector<std::uint64_t> pointers;
    // The blocks that make up the payload, none of them empty.
    std::vector<spead_slice> payload;
    // Of all blocks together, in bytes.
    std::uint64_t payload_size = 0;
};

// A heap on its way out.
struct OutgoingHeap {
    std::uint64_t cnt = 0;
    unsigned heap_address_bits = 40;
    bool repeat_pointers = false;
    std::size_t destination = 0;
    // Bytes per second; 0 is unlimited, negative takes the stream's.
    double rate = -1.0;
    // May be shared with other groups.
    std::shared_ptr<const HeapLayout> layout;
};

// Memory for headers and small payload. Nothing moves before `clear`.
class ScratchArena {
public:
    std::uint8_t *allocate(std::size_t size);
    void clear() noexcept;

private:
    struct Chunk {
        std::unique_ptr<std::uint8_t[]> memory;
        std::size_t size;
    };
    std::vector<Chunk> chunks_;
    std::size_t chunk_ = 0;
    std::size_t used_ = 0;
};

// Packets for one destination, to be sent at one rate.
class OutgoingBatch {
public:
    bool empty() const noexcept { return packets_.empty(); }
    std::size_t num_packets() const noexcept { return packets_.size(); }
    std::uint64_t num_bytes() const noexcept { return num_bytes_; }
    double rate() const noexcept { return rate_; }
    // The packets from number `first` on.
    spead_batch view(std::size_t first = 0) const noexcept;
    // Size of packets [first, last) together, in bytes.
    std::uint64_t size_of(std::size_t first, std::size_t last) const noexcept;

private:
    friend class GroupEncoder;
    void clear() noexcept;
    void seal() noexcept;

    std::vector<spead_packet> packets_;
    std::vector<spead_slice> slices_;
    ScratchArena arena_;
    std::uint64_t num_bytes_ = 0;
    std::size_t destination_ = 0;
    double rate_ = 0.0;
};

// The packets of one heap, one after the other.
class PacketCursor {
public:
    PacketCursor(const OutgoingHeap &heap, std::size_t max_packet_size);

    bool at_start() const noexcept { return packet_ == 0; }
    bool done() const noexcept { return packet_ == plan_.num_packets; }
    const OutgoingHeap &heap() const noexcept { return *heap_; }
    // Of the heap, padding included, in bytes.
    std::uint64_t payload_size() const noexcept { return plan_.payload_size; }
    // Of the next packet, in bytes.
    std::size_t next_size() const noexcept { return head_size_ + static_cast<std::size_t>(body_size_); }
    // Append the next packet's slices, and go on to the one after it.
    void append(std::vector<spead_slice> &slices, ScratchArena &arena);
    // How many of the packets that come next differ in nothing but their place in the heap: they are full, start no item, and
    // their payload lies in one piece.
    std::size_t num_alike() const noexcept;
    // Append the slices of so many of them, two for each, and go on to the one after them.
    void append_alike(std::vector<spead_slice> &slices, ScratchArena &arena, std::size_t count);

private:
    void measure() noexcept;
    void write_head(std::uint8_t *head) const noexcept;
    std::uint64_t pointer(std::size_t index) const noexcept;
    void append_body(std::vector<spead_slice> &slices, ScratchArena &arena);
    std::size_t small_pieces(std::uint64_t limit) const noexcept;
    void copy_body(std::uint8_t *target, std::uint64_t size);
    spead_slice next_piece(std::uint64_t limit) const noexcept;
    void advance(std::size_t size) noexcept;

    const OutgoingHeap *heap_;
    const HeapLayout *layout_;
    PacketPlan plan_;
    bool small_;
    std::size_t packet_ = 0;
    // Where the next packet's pointers and payload start.
    std::size_t pointer_ = 0;
    std::uint64_t offset_ = 0;
    std::size_t block_ = 0;
    std::size_t block_offset_ = 0;
    // Of the next packet.
    std::size_t count_ = 0;
    std::size_t head_size_ = 0;
    std::uint64_t body_size_ = 0;
};

// A group of heaps that are sent together.
class GroupEncoder {
public:
    // Throws std::invalid_argument as PacketPlan does, for any of the heaps. The heaps must outlive this object.
    GroupEncoder(std::span<const OutgoingHeap> heaps, GroupMode mode, const EncoderConfig &config);

    // Fill `batch` with the next packets; false if there are none left.
    bool next(OutgoingBatch &batch);

private:
    std::uint64_t window(std::size_t num_destinations, std::span<const OutgoingHeap> heaps) const noexcept;
    void sort_by_destination(std::span<const OutgoingHeap> heaps, std::uint64_t limit);
    void start_run(std::size_t first) noexcept;
    PacketCursor *current() noexcept;
    void advance(const PacketCursor &cursor);
    void append(OutgoingBatch &batch, PacketCursor &cursor) const;
    std::size_t room(const OutgoingBatch &batch) const noexcept;
    bool fits(const OutgoingBatch &batch, const PacketCursor &cursor) const noexcept;
    double rate_of(const OutgoingHeap &heap) const noexcept;

    EncoderConfig config_;
    GroupMode mode_;
    std::vector<PacketCursor> cursors_;
    // Heaps that are not finished; in serial mode also those before `turn_`.
    std::vector<std::size_t> order_;
    std::size_t turn_ = 0;
    // In round-robin mode: the heaps for one destination, from one number to before the other, have `turns_` turns each before
    // those for the next one, and `turns_left_` now.
    std::size_t run_first_ = 0;
    std::size_t run_last_ = 0;
    std::size_t turns_ = 1;
    std::size_t turns_left_ = 1;
};

}  // namespace spead
