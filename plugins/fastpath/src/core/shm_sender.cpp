#include "shm_sender.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace spead {

namespace {

constexpr int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
constexpr std::string_view gone = "the receiver was closed, or its program ended";

[[noreturn]] void cannot_send(int error) { fail(ErrorKind::broken, error, with_hint("cannot send", gone)); }

}  // namespace

ShmSender::ShmSender(FileDescriptor socket, std::span<std::uint8_t> ring, std::shared_ptr<void> owner)
    : SenderBase(1), socket_(std::move(socket)), owner_(std::move(owner)), ring_(ring) {
    poller_.add(socket_.get());
    poller_.add(writable_.fileno());
    writable_.set();
}

std::size_t ShmSender::try_send(const spead_batch &batch) {
    if (batch.destination != 0)
        fail(ErrorKind::refused, EINVAL, "there is no destination " + std::to_string(batch.destination) + ", only 0");
    read_answers();
    const std::size_t taken = write(batch);
    // A receipt that comes now is reported all the same, by the socket.
    if (taken > 0 || batch.num_packets == 0)
        writable_.set();
    else
        writable_.clear();
    return taken;
}

std::size_t ShmSender::write(const spead_batch &batch) {
    std::size_t taken = 0;
    while (taken < batch.num_packets) {
        const std::size_t size = batch.packets[taken].size;
        if (size > ring_.largest_packet()) {
            if (taken > 0) break;
            fail(ErrorKind::refused, 0,
                 with_hint("a packet of " + std::to_string(size) + " bytes does not fit the ring: expected " +
                               std::to_string(ring_.largest_packet()) + " at most",
                           "send smaller packets, or set size=" + std::to_string(shm::size_for(size)) + " or more"));
        }
        const std::optional<shm::Announcement> announcement = ring_.write(batch, taken);
        if (!announcement) break;
        if (send(socket_.get(), &*announcement, sizeof *announcement, flags) < 0) {
            const int error = errno;
            ring_.space().free(announcement->start);
            // EAGAIN: the system gave the socket a smaller buffer than asked for. Receipts for what fills it will come.
            if (error == EAGAIN || taken > 0) break;
            cannot_send(error);
        }
        taken += announcement->count;
    }
    return taken;
}

// Note which records the receiver has done with.
void ShmSender::read_answers() {
    std::array<char, shm::longest_message> buffer;
    for (;;) {
        const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size > 0) {
            obey({buffer.data(), static_cast<std::size_t>(size)});
            continue;
        }
        if (size == 0) cannot_send(0);
        if (errno == EAGAIN) return;
        // A reset is said once; what the receiver had to say before comes next.
        if (errno != ECONNRESET && errno != EINTR) cannot_send(errno);
    }
}

void ShmSender::obey(std::string_view answer) {
    try {
        if (answer.starts_with(shm::refusal))
            fail(ErrorKind::broken, 0, "the receiver refuses: " + std::string(answer.substr(shm::refusal.size())));
        if (answer.size() % sizeof(shm::Receipt))
            throw shm::OutOfOrder("expected a receipt, of " + std::to_string(sizeof(shm::Receipt)) +
                                  " bytes for each record, not " + shm::quoted(answer));
        for (; !answer.empty(); answer.remove_prefix(sizeof(shm::Receipt))) {
            shm::Receipt receipt;
            std::memcpy(&receipt, answer.data(), sizeof receipt);
            ring_.space().free(receipt);
        }
    } catch (const shm::OutOfOrder &error) {
        fail(ErrorKind::broken, 0,
             with_hint(std::string("the receiver is out of order: ") + error.what(),
                       "do both ends have the same version of spead-transport-shm?"));
    }
}

void ShmSender::release() noexcept {
    poller_.remove(socket_.get());
    // A receiver that is gone needs no goodbye.
    send(socket_.get(), shm::goodbye.data(), shm::goodbye.size(), flags);
    socket_ = {};
    writable_.set();
}

}  // namespace spead
