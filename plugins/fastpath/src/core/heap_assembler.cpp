#include "heap_assembler.hpp"

#include <algorithm>
#include <sstream>
#include <string>
#include <unordered_set>
#include <utility>

#include "byte_order.hpp"

namespace spead {

namespace {

// A heap that fills less than half of an adoptable segment is copied, so as not to keep the whole segment alive.
constexpr std::int64_t adoptable_share = 2;

const char *advice(Rejection reason) noexcept {
    switch (reason) {
        case Rejection::out_of_order: return " (set allow_out_of_order in recv.StreamConfig to accept such packets)";
        case Rejection::unsized: return " (set allow_unsized_heaps in recv.StreamConfig to accept such packets)";
        case Rejection::too_large: return " (max_heap_size in recv.StreamConfig is the limit)";
        default: return "";
    }
}

// Where the last item that lies in the payload starts; 0 if there is none.
std::int64_t last_address(std::span<const std::uint64_t> pointers, unsigned heap_address_bits) noexcept {
    std::uint64_t last = 0;
    for (const std::uint64_t pointer : pointers)
        if (!(pointer & immediate_flag)) last = std::max(last, pointer & address_mask(heap_address_bits));
    return static_cast<std::int64_t>(last);
}

}  // namespace

HeapAssembler::HeapAssembler(const AssemblerConfig &config, std::shared_ptr<HeapAllocator> allocator)
    : config_(config), allocator_(std::move(allocator)), substreams_(config.substreams) {
    if (allocator_) return;
    allocator_ = {std::shared_ptr<void>(), &SegmentPool::shared()};
    carver_.emplace(SegmentPool::shared());
}

HeapAssembler::HeapAssembler(const AssemblerConfig &config, std::unique_ptr<ChunkPlacement> chunks)
    : config_(config), chunks_(std::move(chunks)), substreams_(config.substreams) {}

void HeapAssembler::add(const spead_batch &batch, double now, std::vector<ReceivedHeap> &out) {
    discard_rest();
    statistics_.batches++;
    statistics_.max_batch = std::max<std::uint64_t>(statistics_.max_batch, batch.num_packets);
    segment_ = batch.segment;
    decode(batch, now);
    next_ = 0;
    if (chunks_) prepare_chunks(now);
    resume(now, out);
}

void HeapAssembler::resume(double now, std::vector<ReceivedHeap> &out) {
    const ChunkPlacement::Session session(chunks_.get());
    out_ = &out;
    blocked_ = false;
    while (next_ < packets_.size()) {
        if (packets_[next_].header.reason != Rejection::none) {
            next_++;
            continue;
        }
        const Run run = run_from(next_);
        if (stopped_)
            reject(Rejection::stopped, run.num_packets(), now);
        else if (run.stops && config_.stop_on_stop_item)
            stop(run);
        else
            add_run(run, now);
        if (blocked_) return;
        next_ = run.last;
    }
    flattened_.clear();
    flattened_slices_.clear();
    segment_ = nullptr;
}

void HeapAssembler::discard_rest() {
    blocked_ = false;
    for (; next_ < packets_.size(); next_++)
        if (packets_[next_].header.reason == Rejection::none)
            statistics_.rejected[static_cast<std::size_t>(Rejection::stopped)]++;
    flattened_.clear();
    flattened_slices_.clear();
    segment_ = nullptr;
}

void HeapAssembler::expire(double now, std::vector<ReceivedHeap> &out) {
    const ChunkPlacement::Session session(chunks_.get());
    out_ = &out;
    while (next_expiry() <= now) {
        if (notices_.due(Notices::expired, now)) {
            std::ostringstream message;
            message << "heap " << oldest_->cnt << " was given up incomplete because it was older than max_heap_age="
                    << config_.max_heap_age << " seconds";
            notices_.add(Notices::expired, now, message.str());
        }
        give_up(*oldest_, statistics_.incomplete_heaps_evicted);
    }
}

void HeapAssembler::flush(std::vector<ReceivedHeap> &out) {
    discard_rest();
    const ChunkPlacement::Session session(chunks_.get());
    out_ = &out;
    for (Substream &substream : substreams_) {
        const std::size_t count = substream.slots.size();
        for (std::size_t i = 0; i < count; i++)
            if (LiveHeap *live = substream.slots[(substream.next + i) % count])
                give_up(*live, statistics_.incomplete_heaps_flushed);
    }
}

// ------------------------------------------------------------------------------------------------------ packets in

void HeapAssembler::decode(const spead_batch &batch, double now) {
    packets_.resize(batch.num_packets);
    for (std::size_t i = 0; i < batch.num_packets; i++) {
        decode_packet(batch.packets[i], packets_[i]);
        const Rejection reason = packets_[i].header.reason;
        if (reason != Rejection::none) reject(reason, 1, now);
    }
}

// Every member is written where it stays: to copy what was written a moment ago in other pieces is slow.
void HeapAssembler::decode_packet(const spead_packet &packet, DecodedPacket &decoded) {
    const spead_slice *slices = decoded.slices = packet.slices;
    const std::size_t num_slices = decoded.num_slices = packet.num_slices;
    const auto *head = num_slices > 0 ? static_cast<const std::uint8_t *>(slices[0].data) : nullptr;
    if (num_slices > 0 && slices[0].size < header_reach(head, slices[0].size, packet.size)) {
        // Cut within the header: the contract does not promise speed for this.
        std::vector<std::uint8_t> &whole = flattened_.emplace_back();
        whole.reserve(packet.size);
        for (std::size_t i = 0; i < num_slices; i++) {
            const auto *data = static_cast<const std::uint8_t *>(slices[i].data);
            whole.insert(whole.end(), data, data + slices[i].size);
        }
        decoded.slices = &flattened_slices_.emplace_back(spead_slice{whole.data(), whole.size()});
        decoded.num_slices = 1;
        head = whole.data();
    }
    decode_header(head, num_slices > 0 ? packet.size : 0, decoded.header);
}

// Packet `first` and those that continue its heap. A packet with the stop item is a run of its own.
HeapAssembler::Run HeapAssembler::run_from(std::size_t first) const noexcept {
    const PacketHeader &header = packets_[first].header;
    Run run{first,      first + 1, header.heap_cnt, header.heap_address_bits, header.heap_length, header.payload_offset,
            header.payload_end(), header.stops, header.num_others};
    if (run.stops) return run;
    for (; run.last < packets_.size(); run.last++) {
        const PacketHeader &next = packets_[run.last].header;
        const bool continues = next.reason == Rejection::none && next.heap_cnt == run.cnt && next.payload_offset == run.end &&
                               next.heap_length == run.length && next.heap_address_bits == run.heap_address_bits && !next.stops;
        if (!continues) break;
        run.end = next.payload_end();
        run.num_pointers += next.num_others;
    }
    return run;
}

void HeapAssembler::add_run(const Run &run, double now) {
    LiveHeap *live = live_.find(run.cnt);
    const Rejection reason = refuse(run, live);
    if (reason != Rejection::none) {
        if (run.num_packets() > 1 && depends_on_packet(run, reason))
            for (std::size_t i = run.first; i < run.last && !blocked_; i++) add_run(single(run, i), now);
        else
            reject(reason, run.num_packets(), now);
    } else if (!live) {
        begin(run, now);
    } else {
        if (run.length >= 0) live->length = run.length;
        add_parts(run, *live, now);
        if (live->complete()) finish(*live);
    }
}

// Packet `index` of a run as a run of its own.
HeapAssembler::Run HeapAssembler::single(const Run &run, std::size_t index) const noexcept {
    Run part = run;
    part.first = index;
    part.last = index + 1;
    part.start = packets_[index].header.payload_offset;
    part.end = packets_[index].header.payload_end();
    part.num_pointers = packets_[index].header.num_others;
    return part;
}

// Whether `reason` may hold for the last packets of a run only: they reach too far, or bring the one item pointer too many.
bool HeapAssembler::depends_on_packet(const Run &run, Rejection reason) const noexcept {
    return run.length < 0 || (reason == Rejection::too_large && run.length <= config_.max_heap_size);
}

// Why a run cannot belong to its heap, as far as sizes and flavour tell.
Rejection HeapAssembler::refuse(const Run &run, const LiveHeap *live) const noexcept {
    const std::size_t num_pointers = run.num_pointers + (live ? live->pointers.size() : 0);
    const auto pointer_bytes = static_cast<std::int64_t>(num_pointers * word_size);
    if (std::max({run.length, run.end, pointer_bytes}) > config_.max_heap_size) return Rejection::too_large;
    if (run.length < 0 && !config_.allow_unsized_heaps) return Rejection::unsized;
    if (!live) return run.start > 0 && !config_.allow_out_of_order ? Rejection::out_of_order : Rejection::none;
    if (run.heap_address_bits != live->heap_address_bits) return Rejection::flavour_changed;
    if (run.length >= 0 && run.length != live->length && (live->length >= 0 || run.length < live->end))
        return Rejection::length_changed;
    if (live->length >= 0 && run.end > live->length) return Rejection::out_of_bounds;
    return Rejection::none;
}

// Start a heap with its first run, or finish it at once if that is all of it.
void HeapAssembler::begin(const Run &run, double now) {
    if (chunks_) {
        begin_in_chunk(run, now);
        return;
    }
    const bool whole = run.size() == run.length;
    SegmentRef memory;
    std::uint8_t *payload = whole ? adoptable(run) : nullptr;
    if (payload) {
        memory = SegmentRef::share(segment_);
    } else {
        memory = allocate(run, whole, payload);
        if (!memory) {
            reject(Rejection::no_memory, run.num_packets(), now);
            return;
        }
        copy_payload(run, payload + run.start);
    }
    if (config_.sequential_heaps) finish_unsized(run.cnt);
    if (whole)
        deliver_whole(run, std::move(memory), payload, now);
    else
        note(run, make_live(run, std::move(memory), now));
}

// Note that a run has arrived.
void HeapAssembler::note(const Run &run, LiveHeap &live) {
    statistics_.packets += run.num_packets();
    live.received += run.size();
    live.end = std::max(live.end, run.end);
    live.ranges.add(run.start, run.end);
    collect_pointers(run, live.pointers);
}

void HeapAssembler::deliver_whole(const Run &run, SegmentRef memory, std::uint8_t *payload, double now) {
    statistics_.packets += run.num_packets();
    pass_through(run, now);
    ReceivedHeap &heap = out_->emplace_back();
    heap.cnt = run.cnt;
    heap.heap_address_bits = run.heap_address_bits;
    heap.length = run.length;
    heap.received = run.size();
    heap.memory = std::move(memory);
    heap.payload = payload;
    collect_pointers(run, heap.pointers);
    if (config_.keep_payload_ranges && run.size() > 0) heap.ranges.emplace_back(run.start, run.end);
    deliver(heap, run.end);
}

// A heap of one run: if it has several packets, it takes a place in the table, though only for the time of this call.
void HeapAssembler::pass_through(const Run &run, double now) {
    if (run.num_packets() == 1) {
        statistics_.single_packet_heaps++;
    } else {
        Substream &substream = substream_of(run.cnt);
        substream.slots[take_slot(substream, now)] = nullptr;
    }
}

// The parts of a run that bring something new; the other packets are rejected.
void HeapAssembler::add_parts(const Run &run, LiveHeap &live, double now) {
    const bool in_order = !config_.allow_out_of_order;
    const auto is_new = [&](std::int64_t start, std::int64_t end) {
        return in_order ? start == live.end : !live.ranges.overlaps(start, end);
    };
    if (is_new(run.start, run.end)) {
        add_part(run, live, now);
        return;
    }
    // Too early, too late, or arrived before: decide for each packet.
    for (std::size_t i = run.first; i < run.last; i++) {
        const Run part = single(run, i);
        if (is_new(part.start, part.end))
            add_part(part, live, now);
        else
            reject(!in_order || part.end <= live.end ? Rejection::duplicate : Rejection::out_of_order, 1, now);
    }
}

void HeapAssembler::add_part(const Run &part, LiveHeap &live, double now) {
    if (chunks_) {
        const HeapPlace place = live.lodging.place();
        if (place.chunk) copy_payload(part, place.payload + part.start);
        chunks_->arrived(place, packets_of(part), live.length);
        note(part, live);
        return;
    }
    if (part.end > live.capacity() && !grow(live, part.end)) {
        reject(Rejection::no_memory, part.num_packets(), now);
        return;
    }
    copy_payload(part, live.memory.data() + part.start);
    note(part, live);
}

// The stream ends here, and the heap that carries the stop item with it.
void HeapAssembler::stop(const Run &run) {
    stopped_ = true;
    statistics_.packets += run.num_packets();
    statistics_.heaps_discarded++;
    if (LiveHeap *live = live_.find(run.cnt)) forget(*live);
}

// Make room in a heap whose length is not known, or became known only now; false without memory.
bool HeapAssembler::grow(LiveHeap &live, std::int64_t size) {
    const std::int64_t wanted = std::max(live.length, std::min(2 * size, config_.max_heap_size));
    SegmentRef memory = allocator_->allocate(static_cast<std::size_t>(wanted));
    if (!memory) return false;
    copy_bytes(memory.data(), live.memory.data(), static_cast<std::size_t>(live.end), CopyMethod::standard);
    live.memory = std::move(memory);
    return true;
}

// Memory for the heap that starts with `run`, and is `whole` with it; its payload begins at `payload`.
SegmentRef HeapAssembler::allocate(const Run &run, bool whole, std::uint8_t *&payload) {
    const auto size = static_cast<std::size_t>(std::max(run.length, run.end));
    // Heaps that are not complete yet stay for an unknown time, and would keep others' memory as long.
    if (whole && carver_ && size <= MemoryCarver::largest_piece) return carver_->carve(size, payload);
    SegmentRef memory = allocator_->allocate(size);
    if (memory) payload = memory.data();
    return memory;
}

// The payload of `run` where it is, if that memory may be kept and lies in one piece.
std::uint8_t *HeapAssembler::adoptable(const Run &run) const noexcept {
    if (!segment_ || run.size() == 0 || run.size() * adoptable_share < static_cast<std::int64_t>(segment_->size)) return nullptr;
    std::uint8_t *base = nullptr;
    std::uint8_t *end = nullptr;
    for (std::size_t i = run.first; i < run.last; i++) {
        const DecodedPacket &packet = packets_[i];
        if (packet.header.payload_size == 0) continue;
        if (packet.num_slices != 2 || packet.slices[0].size != packet.header.header_size()) return nullptr;
        auto *data = static_cast<std::uint8_t *>(const_cast<void *>(packet.slices[1].data));
        if (!base) base = end = data;
        if (data != end) return nullptr;
        end += packet.header.payload_size;
    }
    return base >= segment_->data && end <= segment_->data + segment_->size ? base : nullptr;
}

void HeapAssembler::copy_payload(const Run &run, std::uint8_t *target) const noexcept {
    for (std::size_t i = run.first; i < run.last; i++) {
        const DecodedPacket &packet = packets_[i];
        std::size_t skip = packet.header.header_size();
        for (std::size_t s = 0; s < packet.num_slices; s++) {
            const spead_slice &slice = packet.slices[s];
            if (slice.size > skip) {
                copy_bytes(target, static_cast<const std::uint8_t *>(slice.data) + skip, slice.size - skip, config_.copy_method);
                target += slice.size - skip;
            }
            skip -= std::min(skip, slice.size);
        }
    }
    finish_copies(config_.copy_method);
}

void HeapAssembler::collect_pointers(const Run &run, PointerList &pointers) const {
    for (std::size_t i = run.first; i < run.last; i++) {
        const PacketHeader &header = packets_[i].header;
        if (header.num_others == 0) continue;
        for (std::uint32_t p = header.canonical ? 4 : 0; p < header.num_pointers; p++) {
            const std::uint64_t pointer = load_word(header.pointers + word_size * p);
            if (header.canonical || header.is_other(pointer)) pointers.push_back(pointer);
        }
    }
}

void HeapAssembler::reject(Rejection reason, std::size_t count, double now) {
    const auto number = static_cast<std::size_t>(reason);
    statistics_.rejected[number] += count;
    if (notices_.due(number, now))
        notices_.add(number, now, "packet rejected: " + std::string(rejection_names[number]) + advice(reason));
}

// --------------------------------------------------------------------------------------------------- heaps in chunks

void HeapAssembler::prepare_chunks(double now) {
    std::vector<std::size_t> beginnings;
    if (chunks_->wants_batches() && !stopped_) {
        std::unordered_set<std::uint64_t> seen;
        for (std::size_t at = 0; at < packets_.size();) {
            if (packets_[at].header.reason != Rejection::none) {
                at++;
                continue;
            }
            const Run run = run_from(at);
            at = run.last;
            if (run.stops && config_.stop_on_stop_item) break;
            if (!live_.find(run.cnt) && refuse(run, nullptr) == Rejection::none && seen.insert(run.cnt).second)
                beginnings.push_back(run.first);
        }
    }
    chunks_->prepare(packets_, beginnings, now, notices_);
}

void HeapAssembler::begin_in_chunk(const Run &run, double now) {
    HeapPlace place;
    switch (chunks_->begin(packets_, run.first, run.length, now, notices_, place)) {
        case ChunkPlacement::Begin::placed: break;
        case ChunkPlacement::Begin::stopped: chunks_stopped_ = true; [[fallthrough]];
        case ChunkPlacement::Begin::blocked:
            blocked_ = true;
            next_ = run.first;
            return;
    }
    if (place.chunk) {
        fetch_to_write(place.payload + run.end, static_cast<std::size_t>(run.size()));  // the next heap's place, most likely
        copy_payload(run, place.payload + run.start);
    }
    chunks_->arrived(place, packets_of(run), run.length);
    if (run.size() < run.length) {
        LiveHeap &live = make_live(run, {}, now);
        live.lodging = chunks_->lodge(place);
        note(run, live);
        return;
    }
    statistics_.packets += run.num_packets();
    pass_through(run, now);
    chunks_->finish(place);
    statistics_.heaps++;
}

// ------------------------------------------------------------------------------------------------------- heaps out

HeapAssembler::LiveHeap &HeapAssembler::make_live(const Run &run, SegmentRef memory, double now) {
    Substream &substream = substream_of(run.cnt);
    const std::size_t slot = take_slot(substream, now);
    if (free_.empty()) {
        free_.reserve(heaps_.size() + 1);
        heaps_.push_back(std::make_unique<LiveHeap>());
        free_.push_back(heaps_.back().get());
    }
    LiveHeap &live = *free_.back();
    free_.pop_back();
    live.cnt = run.cnt;
    live.heap_address_bits = run.heap_address_bits;
    live.length = run.length;
    live.memory = std::move(memory);
    live.slot = slot;
    live.began = now;
    live.older = newest_;
    (newest_ ? newest_->newer : oldest_) = &live;
    newest_ = &live;
    substream.slots[slot] = &live;
    live_.insert(&live);
    return live;
}

// The place of a new heap; the heap that was there is given up.
std::size_t HeapAssembler::take_slot(Substream &substream, double now) {
    const std::size_t slot = substream.next;
    substream.next = (slot + 1) % substream.slots.size();
    if (LiveHeap *old = substream.slots[slot]) {
        if (notices_.due(Notices::evicted, now))
            notices_.add(Notices::evicted, now,
                         "heap " + std::to_string(old->cnt) + " was given up incomplete because " +
                             std::to_string(config_.max_heaps) +
                             " newer heaps started before it was finished; if heaps are interleaved, set max_heaps in "
                             "recv.StreamConfig higher");
        give_up(*old, statistics_.incomplete_heaps_evicted);
    }
    return slot;
}

HeapAssembler::Substream &HeapAssembler::substream_of(std::uint64_t cnt) {
    Substream &substream = substreams_[cnt % substreams_.size()];
    if (substream.slots.empty()) substream.slots.resize(config_.max_heaps);
    return substream;
}

// Heap `cnt` starts, so those before it in its substream that have no length and no hole are complete.
void HeapAssembler::finish_unsized(std::uint64_t cnt) {
    for (LiveHeap *live : substream_of(cnt).slots)
        if (live && live->length < 0 && live->received == live->end) finish(*live);
}

void HeapAssembler::forget(LiveHeap &live) {
    live_.erase(&live);
    substream_of(live.cnt).slots[live.slot] = nullptr;
    (live.older ? live.older->newer : oldest_) = live.newer;
    (live.newer ? live.newer->older : newest_) = live.older;
    live.older = live.newer = nullptr;
    live.memory = {};
    live.lodging = {};
    live.received = 0;
    live.end = 0;
    live.ranges.clear();
    live.pointers.clear();
    free_.push_back(&live);
}

void HeapAssembler::finish(LiveHeap &live) {
    if (chunks_) {
        chunks_->finish(live.lodging, live.complete());
        forget(live);
        statistics_.heaps++;
        return;
    }
    ReceivedHeap &heap = out_->emplace_back();
    heap.cnt = live.cnt;
    heap.heap_address_bits = live.heap_address_bits;
    heap.length = live.length;
    heap.received = live.received;
    heap.payload = live.memory.data();
    heap.memory = std::move(live.memory);
    heap.pointers = std::move(live.pointers);
    if (config_.keep_payload_ranges) heap.ranges = live.ranges.list();
    const std::int64_t end = live.end;
    forget(live);
    deliver(heap, end);
}

void HeapAssembler::give_up(LiveHeap &live, std::uint64_t &counter) {
    if (live.length >= 0 || live.received != live.end) counter++;
    finish(live);
}

// Complete what is said of a heap that leaves. `end` is one past the last byte that arrived: the length of a heap of which no
// packet said it.
void HeapAssembler::deliver(ReceivedHeap &heap, std::int64_t end) {
    statistics_.heaps++;
    const std::int64_t length = heap.length >= 0 ? heap.length : end;
    heap.complete = heap.received == length && last_address(heap.pointers.view(), heap.heap_address_bits) <= length;
    if (heap.complete) {
        heap.length = length;
        heap.ranges.clear();
    } else {
        heap.memory = {};
        heap.payload = nullptr;
    }
}

}  // namespace spead
