// Endpoints, and what they consist of.
#include <arpa/inet.h>
#include <fcntl.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <span>
#include <system_error>

#include "conversion.hpp"
#include "file_receiver.hpp"
#include "handles.hpp"
#include "memory_receiver.hpp"
#include "packet_store.hpp"
#include "python_endpoints.hpp"
#include "shm_receiver.hpp"
#include "shm_sender.hpp"
#include "stream_sender.hpp"
#include "tcp_receiver.hpp"
#include "udp_receiver.hpp"
#include "udp_sender.hpp"

namespace spead::python {

namespace {

using nb::arg;

template <typename Table>
const Table &table_in(nb::handle capsule, const char *name) {
    const void *table = PyCapsule_GetPointer(capsule.ptr(), name);
    if (!table) nb::raise_python_error();
    return *static_cast<const Table *>(table);
}

FileDescriptor duplicate(int fd) {
    FileDescriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy) throw std::system_error(errno, std::generic_category(), "cannot duplicate the socket");
    return copy;
}

SocketAddress socket_address(const std::string &host, int port, std::uint32_t flow, std::uint32_t scope) {
    SocketAddress address;
    auto &v4 = reinterpret_cast<sockaddr_in &>(address.storage);
    auto &v6 = reinterpret_cast<sockaddr_in6 &>(address.storage);
    if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(static_cast<std::uint16_t>(port));
        address.size = sizeof v4;
    } else if (inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(static_cast<std::uint16_t>(port));
        v6.sin6_flowinfo = htonl(flow);
        v6.sin6_scope_id = scope;
        address.size = sizeof v6;
    } else {
        throw std::invalid_argument("expected a numeric address, not " + host);
    }
    return address;
}

// As Python writes them: (host, port), or (host, port, flow, scope).
std::vector<SocketAddress> socket_addresses(nb::handle addresses) {
    std::vector<SocketAddress> result;
    for (const nb::handle item : addresses) {
        const auto fields = nb::cast<nb::tuple>(item);
        const bool v6 = fields.size() == 4;
        result.push_back(socket_address(nb::cast<std::string>(fields[0]), nb::cast<int>(fields[1]),
                                        v6 ? nb::cast<std::uint32_t>(fields[2]) : 0, v6 ? nb::cast<std::uint32_t>(fields[3]) : 0));
    }
    return result;
}

// Close the Python face of a native endpoint after the endpoint itself.
std::function<void()> closing(nb::object face) {
    return [kept = keep_alive(std::move(face))] {
        const MaybeAcquire gil;
        if (!gil) return;
        const nb::handle face(static_cast<PyObject *>(kept.get()));
        try {
            face.attr("close")();
        } catch (nb::python_error &exception) {
            exception.discard_as_unraisable(face);
        }
    };
}

ShmAccess access_from(const std::string &name) {
    if (name == "user") return ShmAccess::user;
    if (name == "group") return ShmAccess::group;
    if (name == "anyone") return ShmAccess::anyone;
    throw std::invalid_argument("expected access for user, group or anyone, not " + name);
}

std::string url_of(nb::handle endpoint) { return nb::cast<std::string>(endpoint.attr("url")); }

// What `body` returns, without the GIL; its failures as Python's errors.
template <typename Body>
auto calling(const std::string &url, Body body) {
    try {
        const MaybeRelease released;
        return body();
    } catch (const TransportException &exception) {
        raise(exception.error, url);
    }
}

std::vector<std::shared_ptr<PacketQueue>> shared_queues(const std::vector<const QueueHandle *> &handles) {
    std::vector<std::shared_ptr<PacketQueue>> queues;
    for (const QueueHandle *handle : handles) queues.push_back(handle->queue);
    return queues;
}

}  // namespace

void bind_endpoints(nb::module_ &m) {
    const auto to_batch = [](const std::optional<OwnedBatch> &batch) {
        return batch ? batch_to_python(*batch) : nb::none();
    };
    nb::class_<ReaderHandle>(m, "QueueReader")
        .def("fileno", [](const ReaderHandle &self) { return self.reader->fileno(); })
        .def("pop", [to_batch](const ReaderHandle &self) { return to_batch(self.reader->pop()); });
    nb::class_<QueueHandle>(m, "PacketQueue")
        .def("__init__", [](QueueHandle *self, bool fanout) { new (self) QueueHandle{std::make_shared<PacketQueue>(fanout)}; },
             arg("fanout"))
        .def("push", [](const QueueHandle &self, nb::object batch) {
            const BatchView view(std::move(batch));
            self.queue->push(OwnedBatch(view.view(), view.view().num_packets));
        }, arg("batch"))
        .def("reader", [](const QueueHandle &self) { return ReaderHandle{std::make_shared<QueueReader>(self.queue)}; })
        .def("stop", [](const QueueHandle &self) { self.queue->stop(); })
        .def("set_ending", [](const QueueHandle &self, bool ending) { self.queue->set_ending(ending); }, arg("ending"))
        .def_prop_ro("stopped", [](const QueueHandle &self) { return self.queue->stopped(); })
        .def("tallies", [](const QueueHandle &self) {
            const QueueStatistics s = self.queue->statistics();
            std::vector<std::pair<std::uint64_t, std::uint64_t>> tallies;
            for (const Tally &tally : {s.in, s.out, s.waiting, s.peak, s.discarded}) tallies.emplace_back(tally.packets, tally.bytes);
            return tallies;
        });

    nb::class_<StoreHandle>(m, "PacketStore").def(nb::init<>()).def("value", &StoreHandle::value);

    // `face`: the Python endpoint that is driven natively, and closed with its native counterpart.
    nb::class_<SenderHandle>(m, "Sender")
        .def_static("from_capsule", [](nb::object face, nb::object capsule) {
            const auto &table = table_in<spead_sender>(capsule, SPEAD_SENDER_CAPSULE);
            return SenderHandle{Sender(table, keep_alive(capsule), closing(face)), url_of(face), false};
        }, arg("face"), arg("capsule"))
        .def_static("from_python", [](nb::object face) {
            return SenderHandle{as_sender(std::make_shared<PythonSender>(face)), url_of(face), true};
        }, arg("face"))
        .def_static("from_store", [](nb::object face, const StoreHandle &store) {
            return SenderHandle{as_sender(store.sender(), closing(face)), url_of(face), StoreHandle::python_inside};
        }, arg("face"), arg("store"))
        .def_static("from_queues", [](nb::object face, const std::vector<const QueueHandle *> &queues) {
            auto sender = std::make_shared<QueueSender>(shared_queues(queues));
            return SenderHandle{as_sender(std::move(sender), closing(face)), url_of(face), false};
        }, arg("face"), arg("queues"))
        .def_static("from_socket", [](nb::object face, int fd, nb::handle addresses, bool segmentation) {
            auto sender = std::make_shared<UdpSender>(duplicate(fd), socket_addresses(addresses), segmentation);
            return SenderHandle{as_sender(std::move(sender), closing(face)), url_of(face), false};
        }, arg("face"), arg("fd"), arg("addresses"), arg("segmentation"))
        .def_static("from_ring", [](nb::object face, int fd, nb::object ring) {
            FileDescriptor socket(fd);
            const spead_slice memory = memory_of(ring, true);
            const std::span bytes(static_cast<std::uint8_t *>(const_cast<void *>(memory.data)), memory.size);
            auto sender = std::make_shared<ShmSender>(std::move(socket), bytes, keep_alive(ring));
            return SenderHandle{as_sender(std::move(sender), closing(face)), url_of(face), false};
        }, arg("face"), arg("fd"), arg("ring"))
        .def_static("from_connection", [](nb::object face, int fd, Hints hints) {
            auto sender = std::make_shared<StreamSender>(FileDescriptor(fd), true, "cannot send", std::move(hints));
            return SenderHandle{as_sender(std::move(sender), closing(face)), url_of(face), false};
        }, arg("face"), arg("fd"), arg("hints"))
        .def_static("from_file", [](nb::object face, int fd, Hints hints) {
            auto sender = std::make_shared<StreamSender>(FileDescriptor(fd), false, "cannot write", std::move(hints));
            return SenderHandle{as_sender(std::move(sender), closing(face)), url_of(face), false};
        }, arg("face"), arg("fd"), arg("hints"))
        .def("try_send", [](const SenderHandle &self, nb::object batch) {
            const BatchView view(std::move(batch));
            return calling(self.url, [&] { return self.sender.try_send(view.view()); });
        }, arg("batch"))
        .def("fileno", [](const SenderHandle &self) { return self.sender.fileno(); })
        .def("close", [](const SenderHandle &self) { self.sender.close(); }, nb::call_guard<MaybeRelease>());

    nb::class_<ReceiverHandle>(m, "Receiver")
        .def_static("from_capsule", [](nb::object face, nb::object capsule) {
            const auto &table = table_in<spead_receiver>(capsule, SPEAD_RECEIVER_CAPSULE);
            return ReceiverHandle{Receiver(table, keep_alive(capsule), closing(face)), url_of(face), false};
        }, arg("face"), arg("capsule"))
        .def_static("from_python", [](nb::object face) {
            return ReceiverHandle{as_receiver(std::make_shared<PythonReceiver>(face)), url_of(face), true};
        }, arg("face"))
        .def_static("from_readers", [](nb::object face, const std::vector<const ReaderHandle *> &handles) {
            std::vector<std::shared_ptr<QueueReader>> readers;
            for (const ReaderHandle *handle : handles) readers.push_back(handle->reader);
            auto receiver = std::make_shared<QueueReceiver>(std::move(readers));
            return ReceiverHandle{as_receiver(std::move(receiver), closing(face)), url_of(face), false};
        }, arg("face"), arg("readers"))
        .def_static("from_memory", [](nb::object face, nb::object buffer) {
            const spead_slice memory = memory_of(buffer);
            auto receiver = std::make_shared<MemoryReceiver>(static_cast<const std::uint8_t *>(memory.data), memory.size,
                                                             keep_alive(buffer));
            return ReceiverHandle{as_receiver(std::move(receiver), closing(face)), url_of(face), false};
        }, arg("face"), arg("buffer"))
        .def_static("from_sockets", [](nb::object face, const std::vector<int> &fds, std::size_t max_size, bool coalescing) {
            std::vector<FileDescriptor> sockets;
            for (const int fd : fds) sockets.push_back(duplicate(fd));
            auto receiver = std::make_shared<UdpReceiver>(std::move(sockets), max_size, coalescing);
            return ReceiverHandle{as_receiver(std::move(receiver), closing(face)), url_of(face), false};
        }, arg("face"), arg("fds"), arg("max_size"), arg("coalescing"))
        .def_static("from_rings", [](nb::object face, int fd, const std::string &access, std::size_t senders) {
            FileDescriptor listener(fd);
            auto receiver = std::make_shared<ShmReceiver>(std::move(listener), access_from(access), senders, url_of(face));
            return ReceiverHandle{as_receiver(std::move(receiver), closing(face)), url_of(face), false};
        }, arg("face"), arg("fd"), arg("access"), arg("senders"))
        .def_static("from_listener", [](nb::object face, int fd, Hints hints, std::optional<std::size_t> connections,
                                        std::size_t max_size) {
            auto receiver = std::make_shared<TcpReceiver>(FileDescriptor(fd), connections, max_size, url_of(face), std::move(hints));
            return ReceiverHandle{as_receiver(std::move(receiver), closing(face)), url_of(face), false};
        }, arg("face"), arg("fd"), arg("hints"), arg("connections").none(), arg("max_size"))
        .def_static("from_file", [](nb::object face, int fd, std::size_t max_size) {
            auto receiver = std::make_shared<FileReceiver>(FileDescriptor(fd), max_size);
            return ReceiverHandle{as_receiver(std::move(receiver), closing(face)), url_of(face), false};
        }, arg("face"), arg("fd"), arg("max_size"))
        .def("try_recv", [](const ReceiverHandle &self, std::size_t limit) {
            const spead_batch batch = calling(self.url, [&] {
                const auto told = [&] { for (const std::string &notice : self.receiver.take_notices()) write_log(false, notice); };
                try {
                    const spead_batch found = self.receiver.try_recv(limit);
                    told();
                    return found;
                } catch (...) {
                    told();
                    throw;
                }
            });
            const nb::object copy = batch_to_python(batch);
            self.receiver.release_batch();
            return copy;
        }, arg("limit"))
        .def("drops", [](const ReceiverHandle &self) { return self.receiver.drops(); })
        .def("fileno", [](const ReceiverHandle &self) { return self.receiver.fileno(); })
        .def("close", [](const ReceiverHandle &self) { self.receiver.close(); }, nb::call_guard<MaybeRelease>());
}

}  // namespace spead::python
