#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "check.hpp"
#include "owned_batch.hpp"
#include "shm_receiver.hpp"
#include "shm_sender.hpp"
#include "support.hpp"

using namespace spead;
using namespace support;

namespace {

constexpr double patience = 30.0;
constexpr std::size_t ring_size = std::size_t{2} << 20;

// A socket that listens at an address of its own, which the system chooses.
FileDescriptor listening_socket(sockaddr_un &address, socklen_t &size) {
    FileDescriptor fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    address.sun_family = AF_UNIX;
    CHECK_EQUAL(bind(fd.get(), reinterpret_cast<sockaddr *>(&address), sizeof address.sun_family), 0);
    size = sizeof address;
    CHECK_EQUAL(getsockname(fd.get(), reinterpret_cast<sockaddr *>(&address), &size), 0);
    CHECK_EQUAL(listen(fd.get(), 4), 0);
    return fd;
}

// A ring, which the receiver at the other end of `socket` is told of.
std::shared_ptr<std::uint8_t> attach(int socket) {
    const FileDescriptor memory(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    CHECK_EQUAL(ftruncate(memory.get(), ring_size), 0);
    CHECK_EQUAL(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    shm::Hello hello{{}, ring_size};
    std::memcpy(hello.magic, shm::magic.data(), shm::magic.size());
    iovec vector{&hello, sizeof hello};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = memory.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    CHECK_EQUAL(sendmsg(socket, &message, 0), static_cast<ssize_t>(sizeof hello));
    void *start = mmap(nullptr, ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(start != MAP_FAILED);
    return {static_cast<std::uint8_t *>(start), [](std::uint8_t *at) { munmap(at, ring_size); }};
}

struct Pair {
    Sender sender;
    Receiver receiver;
};

Pair make_pair(ShmAccess access) {
    sockaddr_un address{};
    socklen_t size = 0;
    auto receiver = std::make_shared<ShmReceiver>(listening_socket(address, size), access, 1, "shm://test");
    FileDescriptor fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CHECK_EQUAL(connect(fd.get(), reinterpret_cast<sockaddr *>(&address), size), 0);
    const std::shared_ptr<std::uint8_t> ring = attach(fd.get());
    auto sender = std::make_shared<ShmSender>(std::move(fd), std::span(ring.get(), ring_size), ring);
    return {as_sender(std::move(sender)), as_receiver(std::move(receiver))};
}

// Send heap by heap, each in one packet with a body, and then close.
void send_heaps(const Sender &sender, std::size_t count, std::size_t size) {
    for (std::size_t i = 0; i < count; i++) {
        const Bytes head(40, static_cast<std::uint8_t>(i));
        const Bytes body(size, static_cast<std::uint8_t>(i));
        const spead_slice slices[] = {{head.data(), head.size()}, {body.data(), body.size()}};
        const spead_packet packet{slices, 2, head.size() + body.size()};
        const spead_batch batch{sizeof batch, &packet, 1, 0, nullptr};
        while (sender.try_send(batch) == 0) CHECK(wait_readable(sender.fileno(), patience) == Waited::ready);
    }
    sender.close();
}

}  // namespace

TEST(shared_memory_carries_packets_that_are_kept_or_not) {
    for (const ShmAccess access : {ShmAccess::user, ShmAccess::anyone}) {
        constexpr std::size_t count = 300;
        Pair pair = make_pair(access);
        std::thread sending([&] { send_heaps(pair.sender, count, 100000); });
        std::vector<SegmentRef> kept;
        std::size_t received = 0;
        std::size_t lent = 0;
        try {
            for (;;) {
                const spead_batch batch = pair.receiver.try_recv(100);
                if (batch.num_packets == 0) CHECK(wait_readable(pair.receiver.fileno(), patience) == Waited::ready);
                for (std::size_t i = 0; i < batch.num_packets; i++, received++) {
                    const auto value = static_cast<std::uint8_t>(received);
                    CHECK_EQUAL(batch.packets[i].num_slices, std::size_t{2});
                    const spead_slice &body = batch.packets[i].slices[1];
                    CHECK_EQUAL(body.size, std::size_t{100000});
                    for (const std::size_t at : {std::size_t{0}, body.size - 1})
                        CHECK_EQUAL(static_cast<const std::uint8_t *>(body.data)[at], value);
                }
                if (batch.segment) {
                    lent++;
                    kept.push_back(SegmentRef::share(batch.segment));
                    // Some are kept for long, others until now.
                    if (kept.size() > 5 && received < count - 5) std::thread([&] { kept.erase(kept.begin() + 2); }).join();
                }
                pair.receiver.release_batch();
            }
        } catch (const TransportException &exception) {
            CHECK(exception.error.kind == ErrorKind::end_of_stream);
        }
        sending.join();
        CHECK_EQUAL(received, count);
        CHECK_EQUAL(lent > 0, access == ShmAccess::user);
        for (const SegmentRef &segment : kept) CHECK_EQUAL(segment.data()[0], segment.data()[segment.size() - 1]);
        pair.receiver.close();
    }
}
