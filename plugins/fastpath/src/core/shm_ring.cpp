#include "shm_ring.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "gather.hpp"

namespace spead::shm {

namespace {

// A record takes no more than this share of the ring if it has several packets, so that reading and writing overlap.
constexpr std::size_t shares = 8;
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

constexpr std::uint64_t aligned(std::uint64_t size) noexcept { return (size + alignment - 1) / alignment * alignment; }

}  // namespace

std::string quoted(std::string_view message) {
    constexpr std::size_t most = 40;
    constexpr char digits[] = "0123456789abcdef";
    std::string text = "b'";
    for (const char character : message.substr(0, most)) {
        const auto byte = static_cast<unsigned char>(character);
        if (byte >= ' ' && byte < 0x7F && byte != '\'' && byte != '\\')
            text += character;
        else
            text.append({'\\', 'x', digits[byte / 16], digits[byte % 16]});
    }
    return text + "'";
}

RecordLayout::RecordLayout(std::uint64_t count, std::uint64_t head_bytes, std::uint64_t body_bytes) noexcept
    : heads(aligned(sizeof(Entry) * count)), bodies(aligned(heads + head_bytes)), end(bodies + body_bytes) {}

// ------------------------------------------------------------------------------------------------------------ writing

void Space::occupy(std::size_t start, std::size_t end) {
    const auto at = std::find_if(records_.begin(), records_.end(), [&](const Record &record) { return record.start > start; });
    records_.insert(at, {start, end});
}

void Space::free(std::uint64_t start) {
    const auto at = std::find_if(records_.begin(), records_.end(), [&](const Record &record) { return record.start == start; });
    if (at == records_.end())
        throw OutOfOrder("a record at " + std::to_string(start) + " was acknowledged, where none is");
    records_.erase(at);
}

std::optional<Announcement> RingWriter::write(const spead_batch &batch, std::size_t first) {
    if (space_.records() >= window) return std::nullopt;
    const Fit wanted = fit(batch, first, space_.size());
    Fit best = fit(batch, first, 0);
    std::size_t start = 0;
    space_.for_gaps([&](std::size_t gap, std::size_t end) {
        const Fit found = wanted.layout.end <= end - gap ? wanted : fit(batch, first, end - gap);
        if (found.record.count > best.record.count) {
            best = found;
            start = gap;
        }
        return best.record.count == wanted.record.count;
    });
    Announcement &record = best.record;
    if (record.count == 0) return std::nullopt;
    record.start = start;
    std::uint8_t *at = memory_.data() + start;
    auto *entry = reinterpret_cast<Entry *>(at);
    Gatherer heads(at + best.layout.heads);
    Gatherer bodies(at + best.layout.bodies);
    for (std::size_t i = first; i < first + record.count; i++) {
        const spead_packet &packet = batch.packets[i];
        const std::size_t head_size = packet.num_slices > 0 ? packet.slices[0].size : 0;
        *entry++ = {static_cast<std::uint32_t>(head_size), static_cast<std::uint32_t>(packet.size - head_size)};
        if (packet.num_slices > 0) heads.add(packet.slices[0]);
        for (std::size_t s = 1; s < packet.num_slices; s++) bodies.add(packet.slices[s]);
    }
    space_.occupy(start, start + aligned(best.layout.end));
    return record;
}

// As many packets as fit in so many bytes, but no more than their share.
RingWriter::Fit RingWriter::fit(const spead_batch &batch, std::size_t first, std::size_t room) const noexcept {
    Announcement record{};
    RecordLayout layout(0, 0, 0);
    while (first + record.count < batch.num_packets && record.count < most_packets) {
        const spead_packet &packet = batch.packets[first + record.count];
        const std::size_t head_size = packet.num_slices > 0 ? packet.slices[0].size : 0;
        const Announcement longer{0, record.count + 1, record.head_bytes + head_size, record.body_bytes + packet.size - head_size};
        const RecordLayout needed(longer.count, longer.head_bytes, longer.body_bytes);
        if (needed.end > room || (record.count > 0 && needed.end > space_.size() / shares)) break;
        record = longer;
        layout = needed;
    }
    return {record, layout};
}

// ------------------------------------------------------------------------------------------------------------ reading

RingReader::RingReader(int fd, std::uint64_t size) : size_(size) {
    if (size < smallest_ring || size > largest_ring || size % alignment)
        throw OutOfOrder("expected a ring of " + std::to_string(smallest_ring) + " to " + std::to_string(largest_ring) +
                         " bytes, not " + std::to_string(size));
    const int found = std::max(0, fcntl(fd, F_GET_SEALS));  // an error: it is not a file that can have any
    struct stat status{};
    if (fstat(fd, &status) < 0) throw std::system_error(errno, std::generic_category(), "fstat");
    if ((found & seals) != seals || static_cast<std::uint64_t>(status.st_size) != size)
        throw OutOfOrder("expected sealed memory of " + std::to_string(size) + " bytes, not " + std::to_string(status.st_size) +
                         " bytes with the seals " + std::to_string(found));
    void *start = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    memory_ = {static_cast<std::uint8_t *>(start), [size = size_](std::uint8_t *memory) { munmap(memory, size); }};
}

bool RingReader::may_keep(const Announcement &announcement) const noexcept {
    const RecordLayout layout(announcement.count, announcement.head_bytes, announcement.body_bytes);
    return announcement.start + aligned(layout.end) <= kept_bytes(size_);
}

bool RingReader::read(const Announcement &announcement, std::vector<spead_slice> &slices) const {
    const auto &[start, count, head_bytes, body_bytes] = announcement;
    // Each by itself first, so that no sum overflows.
    const bool possible = start % alignment == 0 && start < size_ && count > 0 && count <= most_packets &&
                          head_bytes <= size_ && body_bytes <= size_;
    const RecordLayout layout = possible ? RecordLayout(count, head_bytes, body_bytes) : RecordLayout(0, 0, 0);
    if (!possible || start + layout.end > size_)
        throw OutOfOrder("expected a record within " + std::to_string(size_) + " bytes, not one of " + std::to_string(count) +
                         " packets and " + std::to_string(head_bytes) + " + " + std::to_string(body_bytes) + " bytes at " +
                         std::to_string(start));
    const std::uint8_t *at = memory_.get() + start;
    const std::uint8_t *head = at + layout.heads;
    const std::uint8_t *body = at + layout.bodies;
    const std::size_t before = slices.size();
    slices.resize(before + 2 * count);
    std::uint64_t heads = 0;
    std::uint64_t bodies = 0;
    for (std::size_t i = 0; i < count; i++) {
        // The memory may be changed at any time: each size is read once.
        Entry entry;
        std::memcpy(&entry, at + i * sizeof entry, sizeof entry);
        slices[before + 2 * i] = {head + heads, entry.head_size};
        slices[before + 2 * i + 1] = {body + bodies, entry.body_size};
        heads += entry.head_size;
        bodies += entry.body_size;
    }
    if (heads == head_bytes && bodies == body_bytes) return true;
    slices.resize(before);
    return false;
}

}  // namespace spead::shm
