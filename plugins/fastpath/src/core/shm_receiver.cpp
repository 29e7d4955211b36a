#include "shm_receiver.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

namespace spead {

namespace {

constexpr int answer_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
// Records of a sender that are lent at a time, and the least payload that a record is lent for, in bytes.
constexpr std::size_t most_lent = shm::window / 2;
constexpr std::uint64_t worth_lending = std::uint64_t{1} << 16;

// The process at the other end of a socket, as it was when it connected (SO_PEERCRED, unix(7)).
std::string name_of(const ucred &peer) {
    return "process " + std::to_string(peer.pid) + " of user " + std::to_string(peer.uid);
}

// Why `access` does not admit a process; empty if it does.
std::string objection_to(const ucred &peer, ShmAccess access) {
    if (access == ShmAccess::anyone || peer.uid == 0 || peer.uid == geteuid()) return {};
    if (access == ShmAccess::group && peer.gid == getegid()) return {};
    return std::string("access=") + (access == ShmAccess::user ? "user" : "group") + " does not admit " + name_of(peer) +
           " and group " + std::to_string(peer.gid) + " at the other end (here: user " + std::to_string(geteuid()) + ", group " +
           std::to_string(getegid()) + ")";
}

}  // namespace

// The way back to a sender, which outlives its link if records are lent. Any thread.
class ShmReceiver::Channel {
public:
    explicit Channel(FileDescriptor socket) noexcept : socket_(std::move(socket)) {}

    int fileno() const noexcept { return socket_.get(); }

    void say(std::string_view message) noexcept { send(socket_.get(), message.data(), message.size(), answer_flags); }

    // Let the sender use the memory of some records. One that is gone needs no receipt, and that will be noticed; one that lets
    // receipts pile up gets these with the next.
    void give_back(std::span<const shm::Receipt> records) {
        const std::lock_guard lock(mutex_);
        due_.insert(due_.end(), records.begin(), records.end());
        while (!due_.empty()) {
            const std::size_t count = std::min(due_.size(), shm::most_receipts);
            if (send(socket_.get(), due_.data(), count * sizeof(shm::Receipt), answer_flags) < 0) return;
            due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(count));
        }
    }

    // The other end notices at once, whoever keeps this object.
    void close() noexcept { shutdown(socket_.get(), SHUT_RDWR); }

    // Records that are lent at present.
    std::atomic<std::size_t> lent{0};

private:
    FileDescriptor socket_;
    std::mutex mutex_;
    std::vector<shm::Receipt> due_;
};

struct ShmReceiver::LentRecord : spead_segment {
    LentRecord(std::shared_ptr<Channel> to, std::shared_ptr<std::uint8_t> memory, const shm::Announcement &record)
        : spead_segment{}, channel(std::move(to)), memory(std::move(memory)), start(record.start) {
        struct_size = sizeof(spead_segment);
        data = this->memory.get() + start + shm::RecordLayout(record.count, record.head_bytes, record.body_bytes).bodies;
        size = record.body_bytes;
        retain = [](spead_segment *segment) { static_cast<LentRecord *>(segment)->references++; };
        release = [](spead_segment *segment) {
            auto *own = static_cast<LentRecord *>(segment);
            if (own->references.fetch_sub(1, std::memory_order_acq_rel) == 1) const std::unique_ptr<LentRecord> last(own);
        };
        channel->lent++;
    }
    ~LentRecord() {
        channel->lent--;
        channel->give_back({&start, 1});
    }

    const std::shared_ptr<Channel> channel;
    const std::shared_ptr<std::uint8_t> memory;
    const shm::Receipt start;
    std::atomic<std::size_t> references{1};
};

// One sender, as its receiver sees it.
class ShmReceiver::Link {
public:
    explicit Link(FileDescriptor socket) {
        setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &shm::buffer_size, sizeof shm::buffer_size);
        socklen_t size = sizeof peer;
        if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
            throw std::system_error(errno, std::generic_category(), "SO_PEERCRED");
        channel_ = std::make_shared<Channel>(std::move(socket));
    }

    int fileno() const noexcept { return channel_->fileno(); }
    const std::shared_ptr<Channel> &channel() const noexcept { return channel_; }
    bool attached() const noexcept { return ring_.has_value(); }
    std::shared_ptr<std::uint8_t> memory() const noexcept { return ring_ ? ring_->memory() : nullptr; }
    // Whether nothing more can come.
    bool closed() const noexcept { return closed_; }
    // The reason, with a hint, if it is not that the sender finished.
    const std::string &failure() const noexcept { return failure_; }

    // Tell the sender, if it is still there.
    void refuse(std::string_view reason) noexcept {
        const std::string message = std::string(shm::refusal).append(reason);
        channel_->say(std::string_view(message).substr(0, shm::longest_message));
    }

    // Append the slices of the packets that were announced, and the records that they are in: all of them, or `limit` packets
    // and the rest of a record, or one record that can be lent, if that is wanted. Returns how many announced packets could not
    // be found.
    std::uint64_t receive(std::size_t limit, bool lending, ShmReceiver &to) {
        std::uint64_t corrupt = 0;
        while (to.slices_.size() < 2 * limit && !to.lent_ && !closed_) {
            std::array<char, shm::longest_message> buffer;
            FileDescriptor passed;
            try {
                const ssize_t size = next_message(buffer, passed);
                if (size < 0) break;
                corrupt += obey({buffer.data(), static_cast<std::size_t>(size)}, passed, lending, to);
            } catch (const shm::OutOfOrder &error) {
                fail_with(name_of(peer) + " is out of order: " + error.what(), "have both ends the same version of this transport?");
                refuse(error.what());
            } catch (const std::system_error &error) {
                fail_with("cannot receive from " + name_of(peer) + ": " + error.what(), "are there limits on memory or on files?");
                refuse(error.what());
            }
        }
        return corrupt;
    }

    ucred peer{};

private:
    // Size of the next message, 0 if the other end is closed; negative if there is none now. It may come with a descriptor.
    ssize_t next_message(std::span<char> buffer, FileDescriptor &passed) {
        for (;;) {
            iovec vector{buffer.data(), buffer.size()};
            alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
            msghdr header{};
            header.msg_iov = &vector;
            header.msg_iovlen = 1;
            if (!ring_) {
                header.msg_control = control.data();
                header.msg_controllen = CMSG_LEN(sizeof(int));  // one descriptor; the system closes any others
            }
            const ssize_t size = recvmsg(fileno(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
            if (size < 0) {
                if (errno == EAGAIN) return size;
                // The other end was closed before it had read everything, which is reported once, and before what it had sent.
                if (errno == ECONNRESET || errno == EINTR) continue;
                throw std::system_error(errno, std::generic_category());
            }
            const cmsghdr *first = CMSG_FIRSTHDR(&header);
            if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS) {
                int fd;
                std::memcpy(&fd, CMSG_DATA(first), sizeof fd);
                passed = FileDescriptor(fd);
            }
            return size;
        }
    }

    // Do what a message says; how many packets it announced that cannot be found.
    std::uint64_t obey(std::string_view message, const FileDescriptor &passed, bool lending, ShmReceiver &to) {
        if (message.empty()) {
            fail_with(name_of(peer) + " is gone and had not closed its sender", "its program crashed or was killed");
        } else if (message == shm::goodbye) {
            closed_ = true;
        } else if (!ring_) {
            attach(message, passed);
        } else {
            shm::Announcement announcement;
            if (message.size() != sizeof announcement)
                throw shm::OutOfOrder("expected an announcement of " + std::to_string(sizeof announcement) + " bytes, not " +
                                      shm::quoted(message));
            std::memcpy(&announcement, message.data(), sizeof announcement);
            return take(announcement, lending, to);
        }
        return 0;
    }

    // A record that was announced; how many of its packets cannot be found.
    std::uint64_t take(const shm::Announcement &announcement, bool lending, ShmReceiver &to) {
        lending = lending && to.slices_.empty() && announcement.body_bytes >= worth_lending && channel_->lent < most_lent;
        const bool found = ring_->read(announcement, to.slices_);
        if (found && lending && ring_->may_keep(announcement))
            to.lent_ = SegmentRef::take(std::make_unique<LentRecord>(channel_, ring_->memory(), announcement).release());
        else
            to.borrowed_.push_back(announcement.start);
        return found ? 0 : announcement.count;
    }

    void attach(std::string_view message, const FileDescriptor &passed) {
        shm::Hello hello;
        if (message.size() != sizeof hello || !message.starts_with(shm::magic))
            throw shm::OutOfOrder("expected '" + std::string(shm::magic) + "', not " + shm::quoted(message) +
                                  ": its version does not fit this one's");
        std::memcpy(&hello, message.data(), sizeof hello);
        if (!passed) throw shm::OutOfOrder("expected a file descriptor of shared memory with the first message");
        ring_.emplace(passed.get(), hello.size);
    }

    void fail_with(std::string message, std::string_view hint) {
        closed_ = true;
        failure_ = with_hint(std::move(message), hint);
    }

    std::shared_ptr<Channel> channel_;
    std::optional<shm::RingReader> ring_;
    bool closed_ = false;
    std::string failure_;
};

ShmReceiver::ShmReceiver(FileDescriptor listener, ShmAccess access, std::size_t senders, std::string url)
    : listener_(std::move(listener)), access_(access), endless_(senders == 0), url_(std::move(url)), missing_(senders) {
    poller_.add(listener_.get());
    poller_.add(due_.fileno());
}

ShmReceiver::~ShmReceiver() = default;

std::size_t ShmReceiver::try_recv(std::size_t limit, spead_batch &batch) {
    give_back();
    std::vector<int> descriptors = poller_.ready();
    const auto is_ready = [&](int fd) { return std::find(descriptors.begin(), descriptors.end(), fd) != descriptors.end(); };
    if (listener_ && is_ready(listener_.get())) {
        accept_all();
        descriptors = poller_.ready();
    }
    for (std::size_t left = links_.size(); left > 0; left--) {
        Link &link = links_.front();
        // Who was looked at goes to the end.
        links_.splice(links_.end(), links_, links_.begin());
        if (is_ready(link.fileno()) && receive(link, limit)) return hand_out(batch);
    }
    const bool attached = std::any_of(links_.begin(), links_.end(), [](const Link &link) { return link.attached(); });
    if (!endless_ && missing_ == 0 && !attached) end();
    due_.clear();
    return 0;
}

// Accept all who are waiting.
void ShmReceiver::accept_all() {
    for (;;) {
        FileDescriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!socket) {
            if (errno == EAGAIN) return;
            // The connection was gone before it was accepted (accept(2)).
            if (errno == ECONNABORTED || errno == EPROTO || errno == EINTR) continue;
            const bool too_many = errno == EMFILE;
            fail(ErrorKind::broken, errno,
                 with_hint("cannot accept a sender",
                           too_many ? "the program has too many files and sockets open (ulimit -n)" : ""));
        }
        Link &link = links_.emplace_back(std::move(socket));
        const std::string objection = objection_to(link.peer, access_);
        if (objection.empty()) {
            poller_.add(link.fileno());
            continue;
        }
        notify(url_ + ": a sender was refused: " + objection);
        link.refuse(objection);
        links_.pop_back();
    }
}

// Take in the next packets of a sender; whether there were any. It is closed if this is its end.
bool ShmReceiver::receive(Link &link, std::size_t limit) {
    slices_.clear();
    const bool was_attached = link.attached();
    corrupt_ += link.receive(limit, access_ == ShmAccess::user, *this);
    lender_ = link.channel();
    memory_ = link.memory();
    if (link.attached() && !was_attached && missing_ > 0) missing_--;
    if (link.closed()) bury(link);
    return !slices_.empty();
}

// Others are not disturbed if a link broke: they may go on for long.
void ShmReceiver::bury(Link &link) {
    if (!link.failure().empty()) {
        notify(url_ + ": " + link.failure().substr(0, link.failure().find(hint_mark)));
        if (link.attached() && failure_.empty()) failure_ = link.failure();  // else the stream lacks nothing
    }
    close(link);
    due_.set();
}

std::size_t ShmReceiver::hand_out(spead_batch &batch) {
    if (access_ != ShmAccess::user) {
        // Others must not change what is being looked at. Payload may change: it is only copied.
        std::size_t total = 0;
        for (std::size_t i = 0; i < slices_.size(); i += 2) total += slices_[i].size;
        heads_.resize(total);
        std::uint8_t *at = heads_.data();
        for (std::size_t i = 0; i < slices_.size(); i += 2) {
            if (slices_[i].size > 0) std::memcpy(at, slices_[i].data, slices_[i].size);
            slices_[i].data = std::exchange(at, at + slices_[i].size);
        }
    }
    packets_.resize(slices_.size() / 2);
    for (std::size_t i = 0; i < packets_.size(); i++) {
        const spead_slice *slices = &slices_[2 * i];
        packets_[i] = {slices, slices[1].size > 0 ? std::size_t{2} : 1, slices[0].size + slices[1].size};
    }
    batch.packets = packets_.data();
    batch.segment = lent_.get();
    return packets_.size();
}

// Let the sender overwrite what the last batch consisted of.
void ShmReceiver::give_back() noexcept {
    if (!borrowed_.empty()) lender_->give_back(borrowed_);
    borrowed_.clear();
    lent_ = {};
    memory_.reset();
    lender_.reset();
}

std::uint64_t ShmReceiver::drops(std::size_t index, const char *&reason) const noexcept {
    const std::uint64_t corrupt = corrupt_;
    reason = index == 0 && corrupt > 0 ? "corrupt" : nullptr;
    return index == 0 ? corrupt : 0;
}

// Say that the stream is over.
void ShmReceiver::end() {
    close_all();
    if (!failure_.empty()) fail(ErrorKind::broken, 0, failure_);
    fail(ErrorKind::end_of_stream, 0, "the last sender has finished");
}

void ShmReceiver::close(Link &link) noexcept {
    poller_.remove(link.fileno());
    link.channel()->close();
    links_.remove_if([&](const Link &other) { return &other == &link; });
}

void ShmReceiver::close_all() noexcept {
    while (!links_.empty()) close(links_.front());
    if (listener_) poller_.remove(listener_.get());
    listener_ = {};
    due_.set();
}

}  // namespace spead
