// Packets in, heaps out. Does no I/O and reads no clock. Used by one caller at a time.
//
// The unit of work is a *run*: packets of one batch that follow each other in one heap. A run is looked up and checked
// once, and its payload moves in one go, or not at all if the transport gives its memory away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "copy.hpp"
#include "heap_table.hpp"
#include "notices.hpp"
#include "packet_header.hpp"
#include "range_set.hpp"
#include "received_heap.hpp"
#include "segment.hpp"
#include "spead_transport.h"
#include "statistics.hpp"

namespace spead {

// The part of recv.StreamConfig and recv.RingStreamConfig that concerns the assembler.
struct AssemblerConfig {
    std::size_t max_heaps = 4;
    std::size_t substreams = 1;
    bool stop_on_stop_item = true;
    bool allow_unsized_heaps = true;
    bool allow_out_of_order = false;
    // A heap without a length is complete as soon as the next one of its substream starts.
    bool sequential_heaps = false;
    std::int64_t max_heap_size = std::int64_t{1} << 30;
    bool keep_payload_ranges = false;
    CopyMethod copy_method = CopyMethod::standard;
};

class HeapAssembler {
public:
    // `allocator` gives the heaps' memory.
    HeapAssembler(const AssemblerConfig &config, std::shared_ptr<HeapAllocator> allocator);
    HeapAssembler(const HeapAssembler &) = delete;
    HeapAssembler &operator=(const HeapAssembler &) = delete;

    // Whether a stop item came: packets are then only counted.
    bool stopped() const noexcept { return stopped_; }

    // Take packets in: any bytes at all. Heaps that completed or were given up are appended to `out`, in that order. The
    // batch's memory is not used after the call, unless it lies in the batch's segment, which is then retained.
    void add(const spead_batch &batch, double now, std::vector<ReceivedHeap> &out);

    // Give up the heaps that are incomplete: the stream ends.
    void flush(std::vector<ReceivedHeap> &out);

    const Statistics &statistics() const noexcept { return statistics_; }
    Notices &notices() noexcept { return notices_; }

private:
    struct LiveHeap {
        std::uint64_t cnt;
        std::uint8_t heap_address_bits;
        std::int64_t length;
        SegmentRef memory;
        // Its place among the heaps of its substream.
        std::size_t slot;
        std::int64_t received;
        // One past the last byte that arrived.
        std::int64_t end;
        RangeSet ranges;
        PointerList pointers;

        std::int64_t capacity() const noexcept { return static_cast<std::int64_t>(memory.size()); }
        bool complete() const noexcept { return received == length; }
    };
    struct DecodedPacket {
        PacketHeader header;
        const spead_slice *slices;
        std::size_t num_slices;

        // The slice that has all of the payload, or its end.
        const spead_slice &payload() const noexcept { return slices[num_slices - 1]; }
    };
    // Packets [first, last) of a batch, which carry bytes [start, end) of one heap.
    struct Run {
        std::size_t first;
        std::size_t last;
        std::uint64_t cnt;
        std::uint8_t heap_address_bits;
        std::int64_t length;
        std::int64_t start;
        std::int64_t end;
        bool stops;
        std::size_t num_pointers;

        std::size_t num_packets() const noexcept { return last - first; }
        std::int64_t size() const noexcept { return end - start; }
    };
    struct Substream {
        // The last heaps that started; null where a heap is finished.
        std::vector<LiveHeap *> slots;
        std::size_t next = 0;
    };

    void decode(const spead_batch &batch, double now);
    DecodedPacket decode_packet(const spead_packet &packet);
    std::size_t end_of_run(Run &run) const noexcept;
    void add_run(const Run &run, double now);
    Run single(const Run &run, std::size_t index) const noexcept;
    Rejection refuse(const Run &run, const LiveHeap *live) const noexcept;
    bool depends_on_packet(const Run &run, Rejection reason) const noexcept;
    void begin(const Run &run, double now);
    void deliver_whole(const Run &run, SegmentRef memory, std::uint8_t *payload, double now);
    void note(const Run &run, LiveHeap &live);
    void add_parts(const Run &run, LiveHeap &live, double now);
    void add_part(const Run &part, LiveHeap &live, double now);
    void stop(const Run &run);
    bool grow(LiveHeap &live, std::int64_t size);
    std::uint8_t *adoptable(const Run &run) const noexcept;
    void copy_payload(const Run &run, std::uint8_t *target) const noexcept;
    void collect_pointers(const Run &run, PointerList &pointers) const;
    void reject(Rejection reason, std::size_t count, double now);

    LiveHeap &make_live(const Run &run, SegmentRef memory, double now);
    std::size_t take_slot(Substream &substream, double now);
    Substream &substream_of(std::uint64_t cnt);
    void finish_unsized(std::uint64_t cnt);
    void forget(LiveHeap &live);
    void finish(LiveHeap &live);
    void give_up(LiveHeap &live, std::uint64_t &counter);
    void deliver(ReceivedHeap &&heap, std::int64_t end);

    AssemblerConfig config_;
    std::shared_ptr<HeapAllocator> allocator_;
    HeapTable<LiveHeap> live_;
    std::vector<Substream> substreams_;
    // All live heaps that were ever needed, and those of them that are free.
    std::vector<std::unique_ptr<LiveHeap>> heaps_;
    std::vector<LiveHeap *> free_;
    Statistics statistics_;
    Notices notices_;
    bool stopped_ = false;

    // During a call of add.
    spead_segment *segment_ = nullptr;
    std::vector<DecodedPacket> packets_;
    std::deque<std::vector<std::uint8_t>> flattened_;
    std::deque<spead_slice> flattened_slices_;
    std::vector<ReceivedHeap> *out_ = nullptr;
};

}  // namespace spead
