// Packets in, heaps out. Does no I/O and reads no clock. Used by one caller at a time.
//
// The unit of work is a *run*: packets of one batch that follow each other in one heap. A run is looked up and checked
// once, and its payload moves in one go, or not at all if the transport gives its memory away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "chunk_placement.hpp"
#include "copy.hpp"
#include "decoded_packet.hpp"
#include "heap_table.hpp"
#include "memory_carver.hpp"
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
    // How long a heap may be incomplete, in seconds; 0 for any time.
    double max_heap_age = 0.0;
    bool keep_payload_ranges = false;
    CopyMethod copy_method = CopyMethod::standard;
};

class HeapAssembler {
public:
    // `allocator` gives the heaps' memory; by default, the pool of the process does.
    explicit HeapAssembler(const AssemblerConfig &config, std::shared_ptr<HeapAllocator> allocator = nullptr);
    // Heaps go where `chunks` says, and never come out here. All must have a length.
    HeapAssembler(const AssemblerConfig &config, std::unique_ptr<ChunkPlacement> chunks);
    HeapAssembler(const HeapAssembler &) = delete;
    HeapAssembler &operator=(const HeapAssembler &) = delete;

    // Whether a stop item came: packets are then only counted.
    bool stopped() const noexcept { return stopped_; }

    // Take packets in: any bytes at all. Heaps that completed or were given up are appended to `out`, in that order. The
    // batch's memory is not used after the call, unless it lies in the batch's segment, which is then retained.
    void add(const spead_batch &batch, double now, std::vector<ReceivedHeap> &out);

    // Whether the rest of the last batch waits for room in a chunk. Its memory is then still in use.
    bool blocked() const noexcept { return blocked_; }
    // Whether there will never be any, because a ring of chunks was stopped.
    bool chunks_stopped() const noexcept { return chunks_stopped_; }
    // Take in the rest of the last batch, as far as that is possible.
    void resume(double now, std::vector<ReceivedHeap> &out);
    // Count the rest of the last batch as it is: the stream ends.
    void discard_rest();

    // Give up the heaps that are too old.
    void expire(double now, std::vector<ReceivedHeap> &out);
    // When there will be something to give up for its age, if nothing else happens; infinity for never.
    double next_expiry() const noexcept {
        return config_.max_heap_age > 0 && oldest_ ? oldest_->began + config_.max_heap_age
                                                   : std::numeric_limits<double>::infinity();
    }

    // Give up the heaps that are incomplete: the stream ends.
    void flush(std::vector<ReceivedHeap> &out);

    const Statistics &statistics() const noexcept { return statistics_; }
    // Null without chunks.
    const ChunkPlacement *chunks() const noexcept { return chunks_.get(); }
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
        // Where it is in a chunk, instead of in `memory`.
        HeapLodging lodging;
        // When its first packet arrived, and its neighbours in the order of that.
        double began;
        LiveHeap *older = nullptr;
        LiveHeap *newer = nullptr;

        std::int64_t capacity() const noexcept { return static_cast<std::int64_t>(memory.size()); }
        bool complete() const noexcept { return received == length; }
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
    void decode_packet(const spead_packet &packet, DecodedPacket &decoded);
    void prepare_chunks(double now);
    Run run_from(std::size_t first) const noexcept;
    void add_run(const Run &run, double now);
    Run single(const Run &run, std::size_t index) const noexcept;
    Rejection refuse(const Run &run, const LiveHeap *live) const noexcept;
    bool depends_on_packet(const Run &run, Rejection reason) const noexcept;
    void begin(const Run &run, double now);
    void begin_in_chunk(const Run &run, double now);
    void deliver_whole(const Run &run, SegmentRef memory, std::uint8_t *payload, double now);
    void pass_through(const Run &run, double now);
    void note(const Run &run, LiveHeap &live);
    void add_parts(const Run &run, LiveHeap &live, double now);
    void add_part(const Run &part, LiveHeap &live, double now);
    void stop(const Run &run);
    std::span<const DecodedPacket> packets_of(const Run &run) const noexcept {
        return std::span(packets_).subspan(run.first, run.num_packets());
    }
    bool grow(LiveHeap &live, std::int64_t size);
    SegmentRef allocate(const Run &run, bool whole, std::uint8_t *&payload);
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
    void deliver(ReceivedHeap &heap, std::int64_t end);

    AssemblerConfig config_;
    std::shared_ptr<HeapAllocator> allocator_;
    // For small heaps, if their memory need not come from an allocator of the user's.
    std::optional<MemoryCarver> carver_;
    std::unique_ptr<ChunkPlacement> chunks_;
    HeapTable<LiveHeap> live_;
    std::vector<Substream> substreams_;
    // All live heaps that were ever needed, and those of them that are free.
    std::vector<std::unique_ptr<LiveHeap>> heaps_;
    std::vector<LiveHeap *> free_;
    LiveHeap *oldest_ = nullptr;
    LiveHeap *newest_ = nullptr;
    Statistics statistics_;
    Notices notices_;
    bool stopped_ = false;

    // During a call of add, and until nothing is left of its batch.
    bool blocked_ = false;
    bool chunks_stopped_ = false;
    // The first packet that was not taken in.
    std::size_t next_ = 0;
    spead_segment *segment_ = nullptr;
    std::vector<DecodedPacket> packets_;
    std::deque<std::vector<std::uint8_t>> flattened_;
    std::deque<spead_slice> flattened_slices_;
    std::vector<ReceivedHeap> *out_ = nullptr;
};

}  // namespace spead
