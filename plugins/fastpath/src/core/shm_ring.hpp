// Memory that packets wait in on their way to another process, and what the two ends tell each other about it.
//
// Layout and messages are those of the Python package spead_transport_shm: see its modules `ring` and `messages` for the
// rules. Either end may be native or not. Nothing here talks to anybody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "spead_transport.h"

namespace spead::shm {

inline constexpr std::string_view magic = "spead-transport-shm 2";
inline constexpr std::string_view goodbye = "goodbye";
inline constexpr std::string_view refusal = "refused: ";
// How many records may be in a ring.
inline constexpr std::size_t window = 128;
// Of a socket's buffer for as many messages and some more, in bytes: each counts as less than a kilobyte.
inline constexpr int buffer_size = 1024 * (window + 2);
inline constexpr std::size_t longest_message = 512;
// Of one record.
inline constexpr std::size_t most_packets = std::size_t{1} << 16;
// Of records, and of the parts of a record, in bytes.
inline constexpr std::size_t alignment = 64;
inline constexpr std::uint64_t smallest_ring = std::uint64_t{1} << 21;
inline constexpr std::uint64_t largest_ring = std::uint64_t{1} << 32;

// The sender's first message.
struct Hello {
    char magic[24];
    std::uint64_t size;
};

// A record is in the ring.
struct Announcement {
    std::uint64_t start;
    std::uint64_t count;
    // Of all heads together, and of all bodies.
    std::uint64_t head_bytes;
    std::uint64_t body_bytes;
};

// A record is not used any more: where it starts. A message may consist of several.
using Receipt = std::uint64_t;
inline constexpr std::size_t most_receipts = longest_message / sizeof(Receipt);

// A line of the table that a record begins with.
struct Entry {
    std::uint32_t head_size;
    std::uint32_t body_size;
};

static_assert(sizeof(Hello) == 32 && sizeof(Announcement) == 32 && sizeof(Entry) == 8);

// How much of a ring a receiver may keep, at its beginning, in bytes.
constexpr std::size_t kept_bytes(std::size_t ring_size) noexcept { return ring_size * 7 / 16; }

// What a record of one packet takes beside its bytes at most.
inline constexpr std::size_t least_overhead = 2 * alignment;

// The smallest ring that takes packets of `packet` bytes, in bytes.
constexpr std::size_t size_for(std::size_t packet) noexcept {
    const std::size_t size = ((packet + least_overhead) * 16 + 8) / 9;
    return (size + alignment - 1) / alignment * alignment;
}

// The other end does not keep the rules.
struct OutOfOrder : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A message as Python would write it, shortened.
std::string quoted(std::string_view message);

// A record, relative to its start: where its parts begin, and where it ends. In bytes.
struct RecordLayout {
    std::uint64_t heads;
    std::uint64_t bodies;
    std::uint64_t end;

    RecordLayout(std::uint64_t count, std::uint64_t head_bytes, std::uint64_t body_bytes) noexcept;
};

// Which parts of a ring are in use, by records.
class Space {
public:
    explicit Space(std::size_t size) noexcept : size_(size) {}

    std::size_t size() const noexcept { return size_; }
    std::size_t records() const noexcept { return records_.size(); }
    // Call `use(start, end)` for each gap that the next record may lie in, in order of preference, until it returns true: as
    // near to the beginning as possible, for memory that was used a moment ago is still in the processor's caches.
    template <typename Use>
    void for_gaps(Use use) const {
        std::size_t end = 0;
        for (const auto &[start, next_end] : records_) {
            if (start > end && use(end, start)) return;
            end = next_end;
        }
        if (end < size_) use(end, size_);
    }
    void occupy(std::size_t start, std::size_t end);
    // Forget the record that starts there. Throws OutOfOrder if there is none.
    void free(std::uint64_t start);

private:
    struct Record {
        std::size_t start;
        std::size_t end;
    };

    std::size_t size_;
    // In their order in memory.
    std::vector<Record> records_;
};

// The sender's side.
class RingWriter {
public:
    explicit RingWriter(std::span<std::uint8_t> memory) noexcept : memory_(memory), space_(memory.size()) {}

    Space &space() noexcept { return space_; }
    std::size_t largest_packet() const noexcept { return space_.size() - kept_bytes(space_.size()) - least_overhead; }
    // Write a record of as many packets from number `first` on as there is room for, if for any.
    std::optional<Announcement> write(const spead_batch &batch, std::size_t first);

private:
    struct Fit {
        Announcement record;
        RecordLayout layout;
    };

    Fit fit(const spead_batch &batch, std::size_t first, std::size_t room) const noexcept;

    std::span<std::uint8_t> memory_;
    Space space_;
};

// The receiver's side, which believes nothing.
class RingReader {
public:
    // `fd`: the memory; it stays the caller's. Throws OutOfOrder if it is not sealed memory of this size, std::system_error if
    // the system refuses.
    RingReader(int fd, std::uint64_t size);

    // Append the slices of a record's packets, a head and a body for each; false if the sizes in the record are not those of
    // the announcement, and nothing was appended. Throws OutOfOrder if the announcement itself is impossible.
    bool read(const Announcement &announcement, std::vector<spead_slice> &slices) const;
    // Whether a record that was found lies where it may be kept.
    bool may_keep(const Announcement &announcement) const noexcept;

    const std::shared_ptr<std::uint8_t> &memory() const noexcept { return memory_; }

private:
    std::shared_ptr<std::uint8_t> memory_;
    std::size_t size_;
};

}  // namespace spead::shm
