// The Python module: it hands over, and decides nothing.
//
// Who may hold the GIL while he waits for a runner's lock? Only who uses a runner whose endpoints and allocator are native:
// then nobody inside wants the GIL. Otherwise it is released for every call (`python_inside`).
#include <arpa/inet.h>
#include <fcntl.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>
#include <deque>
#include <iterator>
#include <memory>
#include <system_error>

#include "conversion.hpp"
#include "heap_assembler.hpp"
#include "heap_type.hpp"
#include "memory_receiver.hpp"
#include "memory_sender.hpp"
#include "numbered_heaps.hpp"
#include "packet_queue.hpp"
#include "python_endpoints.hpp"
#include "python_objects.hpp"
#include "receive_runner.hpp"
#include "send_runner.hpp"
#include "udp_receiver.hpp"
#include "udp_sender.hpp"
#include "workers.hpp"

namespace spead::python {

namespace {

using nb::arg;

// Heaps of up to this many bytes are sent with the GIL held: getting it back would take longer.
constexpr std::uint64_t quick_bytes = 1 << 16;
// How many heaps are taken from a stream's ring at a time.
constexpr std::size_t heaps_at_a_time = 64;

// ---------------------------------------------------------------------------------------------------------- endpoints

struct SenderHandle {
    Sender sender;
    // What messages call it.
    std::string url;
    bool python_inside;
};

struct ReceiverHandle {
    Receiver receiver;
    std::string url;
    bool python_inside;
};

// Shared with threads, which must not have to get the GIL to let go of it.
struct QueueHandle {
    std::shared_ptr<PacketQueue> queue = std::make_shared<PacketQueue>();
};

// What a sender left in memory.
struct StoreHandle {
    std::shared_ptr<MemorySender> sender = std::make_shared<MemorySender>();

    nb::bytes value() const {
        const std::vector<MemorySender::Piece> pieces = sender->pieces();
        std::size_t size = 0;
        for (const MemorySender::Piece &piece : pieces) size += piece.size;
        nb::bytes result = nb::steal<nb::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
        if (!result.is_valid()) nb::raise_python_error();
        char *target = PyBytes_AS_STRING(result.ptr());
        for (const MemorySender::Piece &piece : pieces) {
            std::memcpy(target, piece.memory.data(), piece.size);
            target += piece.size;
        }
        return result;
    }
};

struct WorkerHandle {
    std::shared_ptr<Worker> worker;
};

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

std::string url_of(nb::handle endpoint) { return nb::cast<std::string>(endpoint.attr("url")); }

std::vector<std::shared_ptr<PacketQueue>> shared_queues(const std::vector<const QueueHandle *> &handles) {
    std::vector<std::shared_ptr<PacketQueue>> queues;
    for (const QueueHandle *handle : handles) queues.push_back(handle->queue);
    return queues;
}

void bind_endpoints(nb::module_ &m) {
    const auto to_batch = [](const std::optional<OwnedBatch> &batch) {
        return batch ? batch_to_python(*batch) : nb::none();
    };
    nb::class_<QueueReader>(m, "QueueReader").def("fileno", &QueueReader::fileno).def("pop", [to_batch](QueueReader &self) {
        return to_batch(self.pop());
    });
    nb::class_<QueueHandle>(m, "PacketQueue")
        .def(nb::init<>())
        .def("push", [](const QueueHandle &self, nb::object batch) {
            const BatchView view(std::move(batch));
            self.queue->push(OwnedBatch(view.view(), view.view().num_packets));
        }, arg("batch"))
        .def("reader", [](const QueueHandle &self) { return std::make_unique<QueueReader>(self.queue); })
        .def("stop", [](const QueueHandle &self) { self.queue->stop(); })
        .def("set_ending", [](const QueueHandle &self, bool ending) { self.queue->set_ending(ending); }, arg("ending"))
        .def_prop_ro("stopped", [](const QueueHandle &self) { return self.queue->stopped(); })
        .def("tallies", [](const QueueHandle &self) {
            const QueueStatistics s = self.queue->statistics();
            return nb::make_tuple(s.in.packets, s.in.bytes, s.out.packets, s.out.bytes, s.peak.packets, s.peak.bytes);
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
            return SenderHandle{as_sender(store.sender, closing(face)), url_of(face), false};
        }, arg("face"), arg("store"))
        .def_static("from_queues", [](nb::object face, const std::vector<const QueueHandle *> &queues) {
            auto sender = std::make_shared<QueueSender>(shared_queues(queues));
            return SenderHandle{as_sender(std::move(sender), closing(face)), url_of(face), false};
        }, arg("face"), arg("queues"))
        .def_static("from_socket", [](nb::object face, int fd, nb::handle addresses, bool segmentation) {
            auto sender = std::make_shared<UdpSender>(duplicate(fd), socket_addresses(addresses), segmentation);
            return SenderHandle{as_sender(std::move(sender), closing(face)), url_of(face), false};
        }, arg("face"), arg("fd"), arg("addresses"), arg("segmentation"));

    nb::class_<ReceiverHandle>(m, "Receiver")
        .def_static("from_capsule", [](nb::object face, nb::object capsule) {
            const auto &table = table_in<spead_receiver>(capsule, SPEAD_RECEIVER_CAPSULE);
            return ReceiverHandle{Receiver(table, keep_alive(capsule), closing(face)), url_of(face), false};
        }, arg("face"), arg("capsule"))
        .def_static("from_python", [](nb::object face) {
            return ReceiverHandle{as_receiver(std::make_shared<PythonReceiver>(face)), url_of(face), true};
        }, arg("face"))
        .def_static("from_queues", [](nb::object face, const std::vector<const QueueHandle *> &queues) {
            auto receiver = std::make_shared<QueueReceiver>(shared_queues(queues));
            return ReceiverHandle{as_receiver(std::move(receiver), closing(face)), url_of(face), false};
        }, arg("face"), arg("queues"))
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
        }, arg("face"), arg("fds"), arg("max_size"), arg("coalescing"));
}

// ------------------------------------------------------------------------------------------------------------ threads

void bind_workers(nb::module_ &m) {
    nb::class_<WorkerHandle>(m, "Worker");
    nb::class_<Workers>(m, "Workers")
        .def(nb::init<std::size_t, const std::vector<int> &>(), arg("threads"), arg("affinity"))
        .def("assign", [](Workers &self) { return WorkerHandle{self.assign()}; })
        .def("stop", &Workers::stop, nb::call_guard<nb::gil_scoped_release>());
}

void check_signals() {
    if (PyErr_CheckSignals()) nb::raise_python_error();
}

double deadline_after(std::optional<double> timeout) { return timeout ? monotonic_time() + std::max(0.0, *timeout) : -1.0; }

double time_left(double deadline) { return deadline < 0 ? -1.0 : std::max(0.0, deadline - monotonic_time()); }

// ------------------------------------------------------------------------------------------------------------ sending

// What a submitted group keeps until it is finished. Used with the GIL.
struct Submission {
    nb::object kept;
    nb::object completion;
};

class PySendRunner {
public:
    PySendRunner(const SenderHandle &sender, const SendConfig &config)
        : url_(sender.url),
          python_inside_(sender.python_inside),
          runner_(std::make_shared<SendRunner>(
              sender.sender, config,
              SendRunner::Callbacks{[url = sender.url](SendGroups groups) { complete(std::move(groups), url); },
                                    [](const std::vector<std::string> &messages) {
                                        for (const std::string &message : messages) write_log(false, message);
                                    }})) {}
    ~PySendRunner() {
        const MaybeRelease released;
        runner_.reset();
    }
    PySendRunner(const PySendRunner &) = delete;
    PySendRunner &operator=(const PySendRunner &) = delete;

    std::uint64_t send(NumberedHeaps &heaps, int mode, std::optional<double> timeout) {
        auto group = std::make_shared<SendGroup>(heaps.take(), static_cast<GroupMode>(mode), nullptr);
        const double deadline = deadline_after(timeout);
        const bool release = releases(heaps);
        {
            const MaybeRelease released(release);
            runner_->enqueue(group);
        }
        try {
            for (;;) {
                Waited waited;
                {
                    const MaybeRelease released(release);
                    waited = runner_->drive_now(*group) ? Waited::ready : Waited::timed_out;
                }
                if (waited != Waited::ready) {
                    const MaybeRelease released;
                    waited = runner_->drive(*group, deadline);
                }
                if (waited == Waited::ready) break;
                check_signals();
                if (waited == Waited::timed_out)
                    raise({ErrorKind::timed_out, 0, "the heap could not be sent in time; part of it may have been sent"}, url_);
            }
        } catch (...) {
            const MaybeRelease released;
            runner_->abandon(group);
            throw;
        }
        if (group->error()) raise(*group->error(), url_);
        return group->bytes();
    }

    bool submit(NumberedHeaps &heaps, int mode, nb::object completion) {
        std::shared_ptr<void> owner(std::make_unique<Submission>(heaps.references(), std::move(completion)).release(), [](void *raw) {
            const std::unique_ptr<Submission> submission(static_cast<Submission *>(raw));
            const MaybeAcquire gil;
            gil.drop(submission->kept, submission->completion);
        });
        auto group = std::make_shared<SendGroup>(heaps.take(), static_cast<GroupMode>(mode), std::move(owner));
        const MaybeRelease released(releases(heaps));
        return runner_->submit(group);
    }

    void drive_with(const WorkerHandle &worker, nb::object keep) {
        std::shared_ptr<void> kept = keep_alive(std::move(keep));
        const MaybeRelease released;
        runner_->drive_with(worker.worker, std::move(kept));
    }

    void flush(std::optional<double> timeout) {
        const double deadline = deadline_after(timeout);
        for (;;) {
            Waited waited;
            std::size_t waiting;
            {
                const MaybeRelease released;
                waited = runner_->flush(time_left(deadline));
                waiting = runner_->heaps_waiting();
            }
            if (waited == Waited::ready) return;
            check_signals();
            if (waited == Waited::timed_out)
                raise({ErrorKind::timed_out, 0, std::to_string(waiting) + " heaps were still waiting in the end"}, url_);
        }
    }

    void close() {
        const MaybeRelease released;
        runner_->close();
    }

private:
    // Whether sending may take long enough, or needs Python code, so that the GIL is better released.
    bool releases(const NumberedHeaps &heaps) const noexcept { return python_inside_ || heaps.payload_size() > quick_bytes; }

    static void complete(SendGroups groups, const std::string &url) noexcept {
        const MaybeAcquire gil;
        if (!gil) return;
        for (const auto &group : groups) {
            auto &submission = *static_cast<Submission *>(group->owner().get());
            try {
                submission.completion(group->bytes(), group->error() ? make_exception(*group->error(), url) : nb::none());
            } catch (nb::python_error &exception) {
                exception.discard_as_unraisable(submission.completion);
            }
        }
        groups.clear();
    }

    const std::string url_;
    const bool python_inside_;
    std::shared_ptr<SendRunner> runner_;
};

void bind_sending(nb::module_ &m) {
    define_numbered_heaps(m);
    nb::class_<SendConfig>(m, "SendConfig")
        .def("__init__", [](SendConfig *self, std::size_t max_packet_size, double rate, std::size_t burst_size, std::size_t max_heaps,
                            double burst_rate_ratio, std::size_t largest_batch) {
            ::new (self) SendConfig{{max_packet_size, rate, burst_size, largest_batch}, max_heaps, burst_rate_ratio};
        }, nb::kw_only(), arg("max_packet_size"), arg("rate"), arg("burst_size"), arg("max_heaps"), arg("burst_rate_ratio"),
           arg("largest_batch"));
    m.def("encode", [](nb::handle heaps, int mode, const SendConfig &config) {
        const std::vector<OutgoingHeap> outgoing = outgoing_heaps(heaps);
        GroupEncoder encoder(outgoing, static_cast<GroupMode>(mode), config.encoder);
        OutgoingBatch batch;
        nb::list result;
        while (encoder.next(batch)) result.append(nb::make_tuple(batch_to_python(batch.view()), batch.rate()));
        return result;
    }, arg("heaps"), arg("mode"), arg("config"));
    nb::class_<PySendRunner>(m, "SendRunner")
        .def(nb::init<const SenderHandle &, const SendConfig &>(), arg("sender"), arg("config"))
        .def("send", &PySendRunner::send, arg("heaps"), arg("mode"), arg("timeout").none())
        .def("submit", &PySendRunner::submit, arg("heaps"), arg("mode"), arg("completion"))
        .def("drive_with", &PySendRunner::drive_with, arg("worker"), arg("keep"))
        .def("flush", &PySendRunner::flush, arg("timeout").none())
        .def("close", &PySendRunner::close);
}

// ---------------------------------------------------------------------------------------------------------- receiving

nb::list to_list(const Statistics &s, bool extra) {
    nb::list list;
    if (extra) {
        for (std::size_t reason = 1; reason < num_rejections; reason++) list.append(s.rejected[reason]);
        list.append(s.heaps_discarded);
        list.append(s.transport_drops);
    } else {
        for (const std::uint64_t value : {s.heaps, s.incomplete_heaps_evicted, s.incomplete_heaps_flushed, s.packets, s.batches,
                                          s.max_batch, s.single_packet_heaps, s.search_dist, s.worker_blocked})
            list.append(value);
    }
    return list;
}

nb::tuple to_python(const Statistics &statistics) { return nb::make_tuple(to_list(statistics, false), to_list(statistics, true)); }

struct ReceiveSettings {
    ReceiveConfig config;
    int bug_compat;
    std::shared_ptr<HeapAllocator> allocator;
    bool python_inside;
};

class PyAssembler {
public:
    explicit PyAssembler(const ReceiveSettings &settings)
        : maker_(settings.bug_compat), assembler_(settings.config.assembler, settings.allocator) {}

    nb::list add(nb::object batch, double now) {
        const BatchView view(std::move(batch));
        assembler_.add(view.view(), now, heaps_);
        return take();
    }
    nb::list flush() {
        assembler_.flush(heaps_);
        return take();
    }
    bool stopped() const { return assembler_.stopped(); }
    nb::tuple statistics() const { return to_python(assembler_.statistics()); }

private:
    nb::list take() {
        for (const std::string &message : assembler_.notices().take()) write_log(false, message);
        nb::list result;
        for (ReceivedHeap &heap : heaps_) result.append(maker_.make(std::move(heap)));
        heaps_.clear();
        return result;
    }

    HeapMaker maker_;
    HeapAssembler assembler_;
    std::vector<ReceivedHeap> heaps_;
};

class PyReceiveRunner {
public:
    explicit PyReceiveRunner(const ReceiveSettings &settings)
        : maker_(settings.bug_compat),
          python_inside_(settings.python_inside),
          runner_(std::make_shared<ReceiveRunner>(settings.config, settings.allocator, write_log)) {}
    ~PyReceiveRunner() {
        const MaybeRelease released;
        runner_->stop();
        runner_.reset();
    }
    PyReceiveRunner(const PyReceiveRunner &) = delete;
    PyReceiveRunner &operator=(const PyReceiveRunner &) = delete;

    void add_reader(const ReceiverHandle &receiver, const WorkerHandle *worker) {
        python_inside_ |= receiver.python_inside;
        url_ = receiver.url;
        const MaybeRelease released;
        runner_->add_reader(receiver.receiver, worker ? worker->worker : nullptr);
    }

    void start() {
        const MaybeRelease released;
        runner_->start();
    }

    nb::object get_nowait() {
        ReceivedHeap heap;
        switch (take(heap)) {
            case ReceiveRunner::Next::heap: return maker_.make(std::move(heap));
            case ReceiveRunner::Next::empty: return raise_empty("no heap has arrived");
            default: return raise_stopped();
        }
    }

    nb::object get(std::optional<double> timeout) {
        double deadline = -1.0;
        bool first = true;
        ReceivedHeap heap;
        for (;;) {
            switch (take(heap)) {
                case ReceiveRunner::Next::heap: return maker_.make(std::move(heap));
                case ReceiveRunner::Next::stopped: return raise_stopped();
                default: break;
            }
            if (std::exchange(first, false)) deadline = deadline_after(timeout);
            if (wait(time_left(deadline)) == Waited::timed_out)
                return raise_empty(nb::str("no heap arrived within {} seconds").format(*timeout).c_str());
        }
    }

    // The next heap, whenever it comes; null at the end of the stream.
    nb::object next_or_end() {
        ReceivedHeap heap;
        for (;;) {
            switch (take(heap)) {
                case ReceiveRunner::Next::heap: return maker_.make(std::move(heap));
                case ReceiveRunner::Next::stopped: return {};
                default: wait(-1.0);
            }
        }
    }

    int fileno() {
        watched_ = true;
        put_back();
        return runner_->fileno();
    }

    void stop() {
        const MaybeRelease released;
        runner_->stop();
    }

    nb::tuple statistics() {
        Statistics result;
        {
            const MaybeRelease released;
            result = runner_->statistics();
        }
        return to_python(result);
    }

    std::map<std::string, std::uint64_t> drops() {
        const MaybeRelease released;
        return runner_->drops();
    }

    std::size_t waiting() {
        put_back();
        const MaybeRelease released;
        return runner_->waiting();
    }

private:
    // The next heap, if it is there. Many are taken from the ring at a time; but when somebody watches the file descriptor,
    // which speaks of the ring, none may be anywhere else.
    ReceiveRunner::Next take(ReceivedHeap &heap) {
        if (taken_.empty()) {
            std::vector<ReceivedHeap> heaps;
            const ReceiveRunner::Next result = next(heaps, watched_ ? 1 : heaps_at_a_time);
            if (result != ReceiveRunner::Next::heap) return result;
            std::move(heaps.begin(), heaps.end(), std::back_inserter(taken_));
        }
        heap = std::move(taken_.front());
        taken_.pop_front();
        if (watched_) put_back();
        return ReceiveRunner::Next::heap;
    }

    void put_back() {
        std::vector<ReceivedHeap> heaps(std::make_move_iterator(taken_.begin()), std::make_move_iterator(taken_.end()));
        taken_.clear();
        runner_->put_back(heaps);
    }

    ReceiveRunner::Next next(std::vector<ReceivedHeap> &heaps, std::size_t most) {
        std::optional<Error> error;
        {
            const MaybeRelease released(python_inside_);
            try {
                return runner_->next(heaps, most);
            } catch (const TransportException &exception) {
                error = exception.error;
            }
        }
        raise(*error, url_);
    }

    Waited wait(double seconds) {
        Waited waited;
        {
            const MaybeRelease released;
            waited = runner_->wait(seconds);
        }
        check_signals();
        return waited;
    }

    [[noreturn]] static nb::object raise_empty(const char *message) {
        PyErr_SetString(Names::get().empty_error.ptr(), message);
        nb::raise_python_error();
    }
    [[noreturn]] static nb::object raise_stopped() {
        PyErr_SetString(Names::get().stopped.ptr(), "the stream ended");
        nb::raise_python_error();
    }

    HeapMaker maker_;
    bool python_inside_;
    // Of the reader that was added last: what messages about a broken one call it.
    std::string url_;
    std::shared_ptr<ReceiveRunner> runner_;
    // Heaps that left the ring, and have yet to be made Python objects. Used with the GIL.
    std::deque<ReceivedHeap> taken_;
    bool watched_ = false;
};

// What a loop over a stream works with. Its type has slots of its own, because the loop runs once for each heap.
class HeapIterator {
public:
    HeapIterator(nb::object runner, nb::object owner)
        : kept_(std::move(runner)), owner_(std::move(owner)), runner_(*nb::inst_ptr<PyReceiveRunner>(kept_)) {}

    static PyObject *self(PyObject *object) { return Py_NewRef(object); }
    static PyObject *next(PyObject *object) noexcept {
        try {
            return nb::inst_ptr<HeapIterator>(object)->runner_.next_or_end().release().ptr();
        } catch (nb::python_error &exception) {
            exception.restore();
        } catch (const std::exception &exception) {  // no memory
            PyErr_SetString(PyExc_MemoryError, exception.what());
        }
        return nullptr;
    }

private:
    const nb::object kept_;
    const nb::object owner_;
    PyReceiveRunner &runner_;
};

void bind_receiving(nb::module_ &m) {
    nb::class_<ReceiveSettings>(m, "ReceiveSettings")
        .def("__init__",
             [](ReceiveSettings *self, std::size_t max_heaps, std::size_t substreams, int bug_compat, bool nontemporal,
                bool stop_on_stop_item, bool allow_unsized_heaps, bool allow_out_of_order, bool sequential_heaps, std::int64_t max_heap_size,
                bool explicit_start, std::size_t ring_heaps, bool contiguous_only, bool keep_payload_ranges, bool end_with_any,
                std::optional<nb::object> allocator) {
                 ReceiveConfig config;
                 config.assembler = {.max_heaps = max_heaps,
                                     .substreams = substreams,
                                     .stop_on_stop_item = stop_on_stop_item,
                                     .allow_unsized_heaps = allow_unsized_heaps,
                                     .allow_out_of_order = allow_out_of_order,
                                     .sequential_heaps = sequential_heaps,
                                     .max_heap_size = max_heap_size,
                                     .keep_payload_ranges = keep_payload_ranges,
                                     .copy_method = nontemporal ? CopyMethod::nontemporal : CopyMethod::standard};
                 config.ring_heaps = ring_heaps;
                 config.contiguous_only = contiguous_only;
                 config.explicit_start = explicit_start;
                 config.end_with_any = end_with_any;
                 std::shared_ptr<HeapAllocator> memory;
                 if (allocator)
                     memory = std::make_shared<PythonAllocator>(*allocator);
                 else
                     memory = {std::shared_ptr<void>(), &SegmentPool::shared()};
                 ::new (self) ReceiveSettings{config, bug_compat, std::move(memory), allocator.has_value()};
             },
             nb::kw_only(), arg("max_heaps"), arg("substreams"), arg("bug_compat"), arg("nontemporal"), arg("stop_on_stop_item"),
             arg("allow_unsized_heaps"), arg("allow_out_of_order"), arg("sequential_heaps"), arg("max_heap_size"), arg("explicit_start"), arg("ring_heaps"),
             arg("contiguous_only"), arg("keep_payload_ranges"), arg("end_with_any"), arg("allocator").none());
    static PyType_Slot iterator_slots[] = {
        {Py_tp_iter, reinterpret_cast<void *>(HeapIterator::self)},
        {Py_tp_iternext, reinterpret_cast<void *>(HeapIterator::next)},
        {0, nullptr},
    };
    nb::class_<HeapIterator>(m, "HeapIterator", nb::type_slots(iterator_slots));
    nb::class_<PyAssembler>(m, "Assembler")
        .def(nb::init<const ReceiveSettings &>(), arg("settings"))
        .def("add", &PyAssembler::add, arg("batch"), arg("now"))
        .def("flush", &PyAssembler::flush)
        .def_prop_ro("stopped", &PyAssembler::stopped)
        .def("statistics", &PyAssembler::statistics);
    nb::class_<PyReceiveRunner>(m, "ReceiveRunner")
        .def(nb::init<const ReceiveSettings &>(), arg("settings"))
        .def("add_reader", &PyReceiveRunner::add_reader, arg("receiver"), arg("worker").none())
        .def("start", &PyReceiveRunner::start)
        .def("get_nowait", &PyReceiveRunner::get_nowait)
        .def("get", &PyReceiveRunner::get, arg("timeout").none())
        .def("iterate", [](nb::handle self, nb::object owner) { return HeapIterator(nb::borrow(self), std::move(owner)); }, arg("owner"))
        .def("fileno", &PyReceiveRunner::fileno)
        .def("stop", &PyReceiveRunner::stop)
        .def("statistics", &PyReceiveRunner::statistics)
        .def("drops", &PyReceiveRunner::drops)
        .def_prop_ro("waiting", &PyReceiveRunner::waiting);
}

// An error of the library that no runner has turned into one of its own.
void translate(const std::exception_ptr &pointer, void *) {
    try {
        std::rethrow_exception(pointer);
    } catch (const TransportException &exception) {
        const nb::object object = make_exception(exception.error, "");
        PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(object.ptr())), object.ptr());
    } catch (const std::system_error &exception) {
        const nb::object object = nb::handle(PyExc_OSError)(exception.code().value(), exception.what());
        PyErr_SetObject(PyExc_OSError, object.ptr());
    }
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "The native engine. Not for direct use: see spead_transport_fastpath.";
    // A program may end while streams are alive; what they keep then is nobody's to free.
    nb::set_leak_warnings(false);
    load_names();
    nb::register_exception_translator(translate);
    define_heap_type(m);
    bind_endpoints(m);
    bind_workers(m);
    bind_sending(m);
    bind_receiving(m);
}

}  // namespace spead::python
