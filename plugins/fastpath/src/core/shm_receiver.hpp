// Packets out of shared memory. The counterpart of ShmReceiver in spead_transport_shm.
//
// Any number of senders attach, each with a ring of its own. One that dies, or sends nonsense, does not disturb the others:
// what it had sent is delivered, and if there was one the stream ends with an error.
//
// A large record is lent to whoever takes its heaps, as a segment: they are not copied as long as not too many are kept, and
// the sender gets its receipt when the last of them goes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "endpoint.hpp"
#include "event.hpp"
#include "segment.hpp"
#include "shm_ring.hpp"

namespace spead {

// Who may be at the other end.
enum class ShmAccess : std::uint8_t { user, group, anyone };

class ShmReceiver final : public ReceiverBase {
public:
    // `senders`: how many must have come before the stream can end; 0 if it never does. `url` is what warnings call the
    // receiver. Throws std::system_error if the system is out of file descriptors.
    ShmReceiver(FileDescriptor listener, ShmAccess access, std::size_t senders, std::string url);
    ~ShmReceiver() override;

protected:
    std::size_t try_recv(std::size_t limit, spead_batch &batch) override;
    int fileno() const noexcept override { return poller_.fileno(); }
    void release_batch() noexcept override { give_back(); }
    std::uint64_t drops(std::size_t index, const char *&reason) const noexcept override;
    void release() noexcept override {
        give_back();
        close_all();
    }

private:
    class Channel;
    struct LentRecord;
    class Link;

    void accept_all();
    bool receive(Link &link, std::size_t limit);
    void bury(Link &link);
    void give_back() noexcept;
    std::size_t hand_out(spead_batch &batch);
    [[noreturn]] void end();
    void close(Link &link) noexcept;
    void close_all() noexcept;

    FileDescriptor listener_;
    const ShmAccess access_;
    const bool endless_;
    const std::string url_;
    std::size_t missing_;
    // In the order of their turns.
    std::list<Link> links_;
    // Whose records the last batch consists of, which they are, and the memory that they lie in.
    std::shared_ptr<Channel> lender_;
    std::vector<shm::Receipt> borrowed_;
    SegmentRef lent_;
    std::shared_ptr<std::uint8_t> memory_;
    // What happened to the first link that broke.
    std::string failure_;
    std::atomic<std::uint64_t> corrupt_{0};
    // Set if the next call of try_recv may find an end that no socket reports.
    Event due_;
    Poller poller_;
    std::vector<spead_slice> slices_;
    std::vector<spead_packet> packets_;
    std::vector<std::uint8_t> heads_;
};

}  // namespace spead
