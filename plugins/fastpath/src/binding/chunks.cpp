// Chunks: rings, windows, placements and runners. The rule for the GIL is that of sending.cpp; rings are an exception, as
// nobody holds their lock for longer than moments, or while he wants the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

#include "chunk_ring.hpp"
#include "chunk_runner.hpp"
#include "chunk_window.hpp"
#include "conversion.hpp"
#include "receiving.hpp"

namespace spead::python {

namespace {

using nb::arg;

// ---------------------------------------------------------------------------------------------------------------- rings

std::span<std::uint8_t> bytes_of(nb::handle array) {
    const spead_slice memory = memory_of(array);
    return {static_cast<std::uint8_t *>(const_cast<void *>(memory.data)), memory.size};
}

// The native form of a Python Chunk, whose owner is a tuple: the chunk, and the arrays that it had for memory.
Chunk chunk_from_python(nb::object object) {
    const nb::tuple memory = nb::cast<nb::tuple>(SPEAD_ATTRIBUTE(object, "memory")());
    Chunk chunk;
    chunk.data = bytes_of(memory[0]);
    chunk.present = bytes_of(memory[1]);
    chunk.extra = bytes_of(memory[2]);
    chunk.owner = keep_alive(nb::make_tuple(object, memory));
    return chunk;
}

nb::object chunk_to_python(const Chunk &chunk) {
    const nb::object object = nb::borrow<nb::tuple>(static_cast<PyObject *>(chunk.owner.get()))[0];
    if (chunk.filled) {
        object.attr("chunk_id") = chunk.id;
        object.attr("stream_id") = chunk.stream_id;
    }
    return object;
}

// A stream in Python that waits for a ring.
class PythonWaiter final : public RingWaiter {
public:
    explicit PythonWaiter(nb::object callback) : callback_(std::move(callback)) {}
    ~PythonWaiter() override { MaybeAcquire().drop(callback_); }

    void wake() noexcept override {
        const MaybeAcquire gil;
        if (!gil || !callback_.is_valid()) return;
        const nb::object callback = callback_;
        try {
            callback();
        } catch (nb::python_error &exception) {
            exception.discard_as_unraisable(callback);
        }
    }
    nb::handle callback() const noexcept { return callback_; }
    // It is garbage: nobody is left to be woken.
    void clear() { callback_.reset(); }

private:
    nb::object callback_;
};

struct RingHandle {
    std::shared_ptr<ChunkRing> ring;
    // Streams in Python that may be waiting.
    std::vector<std::shared_ptr<PythonWaiter>> waiters;

    explicit RingHandle(std::size_t max_size) : ring(std::make_shared<ChunkRing>(max_size)) {}

    bool put(nb::object object) {
        Chunk chunk = chunk_from_python(std::move(object));
        return checked(ring->put(chunk));
    }
    bool offer(nb::object object, nb::object when_space) {
        Chunk chunk = chunk_from_python(std::move(object));
        return checked(ring->offer(chunk, waiter_of(std::move(when_space))));
    }
    std::optional<nb::object> get() {
        Chunk chunk;
        return checked(ring->take(chunk)) ? std::optional(chunk_to_python(chunk)) : std::nullopt;
    }
    std::optional<nb::object> request(nb::object when_data) {
        Chunk chunk;
        return checked(ring->request(chunk, waiter_of(std::move(when_data)))) ? std::optional(chunk_to_python(chunk)) : std::nullopt;
    }
    void forget(nb::handle callback) {
        const auto at = find(callback);
        if (at == waiters.end()) return;
        ring->forget(at->get());
        const std::shared_ptr<PythonWaiter> forgotten = std::move(*at);
        waiters.erase(at);
    }
    void put_last(const nb::list &objects) {
        std::vector<Chunk> chunks;
        for (const nb::handle object : objects) chunks.push_back(chunk_from_python(nb::borrow(object)));
        ring->put_last(chunks);
    }
    nb::tuple statistics() const {
        const ChunkRingStatistics s = ring->statistics();
        return nb::make_tuple(s.put, s.taken, s.waiting, s.peak, s.full, s.empty);
    }

    // The references to Python objects that only this object has.
    static int traverse(PyObject *self, visitproc visit, void *arg) {
        Py_VISIT(Py_TYPE(self));
        if (!nb::inst_ready(self)) return 0;
        const RingHandle &handle = *nb::inst_ptr<RingHandle>(self);
        int result = 0;
        handle.ring->visit_owners([&](void *owner) {
            if (result == 0 && owner) result = visit(static_cast<PyObject *>(owner), arg);
        });
        if (result != 0) return result;
        for (const auto &waiter : handle.waiters) Py_VISIT(waiter->callback().ptr());
        return 0;
    }
    static int clear(PyObject *self) {
        RingHandle &handle = *nb::inst_ptr<RingHandle>(self);
        handle.ring->clear();
        // The ring may have some of them still, and a stream may have the ring.
        for (const auto &waiter : std::exchange(handle.waiters, {})) waiter->clear();
        return 0;
    }

private:
    static bool checked(ChunkRing::Result result) {
        if (result == ChunkRing::Result::stopped) {
            PyErr_SetString(Names::get().stopped.ptr(), "the ring of chunks was stopped");
            nb::raise_python_error();
        }
        return result == ChunkRing::Result::done;
    }
    std::vector<std::shared_ptr<PythonWaiter>>::iterator find(nb::handle callback) {
        return std::find_if(waiters.begin(), waiters.end(), [&](const auto &waiter) { return waiter->callback().is(callback); });
    }
    std::shared_ptr<PythonWaiter> waiter_of(nb::object callback) {
        const auto at = find(callback);
        if (at != waiters.end()) return *at;
        return waiters.emplace_back(std::make_shared<PythonWaiter>(std::move(callback)));
    }
};

struct WindowHandle {
    std::shared_ptr<ChunkWindow> window;
};

// ---------------------------------------------------------------------------------------------------------- placements

struct PlacerHandle {
    std::shared_ptr<Placer> placer;
};

PlacerHandle compiled_placer(std::uintptr_t address, std::optional<std::uintptr_t> user_data, nb::object owner) {
    std::shared_ptr<void> kept = keep_alive(std::move(owner));
    if (!user_data)
        return {std::make_shared<CompiledPlacer>(reinterpret_cast<CompiledPlacer::Function>(address), std::move(kept))};
    return {std::make_shared<CompiledPlacer>(reinterpret_cast<CompiledPlacer::FunctionWithUserData>(address),
                                             reinterpret_cast<void *>(*user_data), std::move(kept))};
}

LayoutPlacer::Program program_of(const std::vector<std::pair<std::string, std::int64_t>> &steps) {
    LayoutPlacer::Program program;
    for (const auto &[name, argument] : steps) {
        const auto &names = LayoutPlacer::operation_names;
        const auto at = std::find(names.begin(), names.end(), name);
        if (at == names.end()) throw std::invalid_argument("expressions have no operation named " + name);
        program.push_back({static_cast<LayoutPlacer::Operation>(at - names.begin()), argument});
    }
    return program;
}

PlacerHandle layout_placer(std::size_t num_items, std::vector<std::size_t> required,
                           const std::vector<std::vector<std::pair<std::string, std::int64_t>>> &programs) {
    if (programs.size() != 3) throw std::invalid_argument("a layout has three programs");
    return {std::make_shared<LayoutPlacer>(num_items, std::move(required), program_of(programs[0]), program_of(programs[1]),
                                           program_of(programs[2]))};
}

// The first packets of some heaps, for as long as a placement is being called.
class FirstPackets {
public:
    explicit FirstPackets(std::span<const HeapToPlace> heaps) : heaps_(heaps) {}

    nb::object take() const {
        if (heaps_.empty()) throw std::runtime_error("the packets of heaps are there only while the placement is being called");
        std::vector<spead_packet> packets;
        for (const HeapToPlace &heap : heaps_) packets.push_back({heap.packet->slices, heap.packet->num_slices, heap.packet->size()});
        return batch_to_python(spead_batch{sizeof(spead_batch), packets.data(), packets.size(), 0, nullptr});
    }
    void expire() noexcept { heaps_ = {}; }

private:
    std::span<const HeapToPlace> heaps_;
};

// A Python function, called once for each batch.
class PythonPlacer final : public Placer {
public:
    PythonPlacer(nb::object function, std::size_t num_items, std::size_t max_heap_extra)
        : function_(std::move(function)), num_items_(num_items), max_heap_extra_(max_heap_extra) {}
    ~PythonPlacer() override { MaybeAcquire().drop(function_); }

    bool wants_batches() const noexcept override { return true; }

    std::string place(std::span<HeapToPlace> heaps, std::span<std::uint64_t> batch_stats) override {
        const MaybeAcquire gil;
        if (!gil) return "the interpreter has ended";
        try {
            call(heaps, batch_stats);
            return {};
        } catch (nb::python_error &exception) {
            const nb::handle value = exception.value();
            return std::string(Py_TYPE(value.ptr())->tp_name) + ": " + nb::cast<std::string>(nb::str(value));
        } catch (const std::exception &exception) {
            return exception.what();
        }
    }

private:
    void call(std::span<HeapToPlace> heaps, std::span<std::uint64_t> batch_stats) {
        const Names &names = Names::get();
        const std::size_t count = heaps.size();
        const nb::object items = names.empty(nb::make_tuple(count, num_items_), names.int64);
        if (num_items_ > 0) copy(items, heaps[0].items, count * num_items_);
        const nb::object stats = names.empty(batch_stats.size(), names.uint64);
        copy(stats, batch_stats.data(), batch_stats.size());
        const nb::object packets = nb::cast(FirstPackets(heaps));
        const nb::object object = SPEAD_ATTRIBUTE(names.heaps_to_place, "of")(items, packets, max_heap_extra_, stats);
        const Expiry expiry{*nb::inst_ptr<FirstPackets>(packets)};
        function_(object);
        const auto chunk_id = column<std::int64_t>(SPEAD_ATTRIBUTE(object, "chunk_id"), count);
        const auto heap_index = column<std::int64_t>(SPEAD_ATTRIBUTE(object, "heap_index"), count);
        const auto heap_offset = column<std::int64_t>(SPEAD_ATTRIBUTE(object, "heap_offset"), count);
        const auto extra_offset = column<std::int64_t>(SPEAD_ATTRIBUTE(object, "extra_offset"), count);
        const auto extra_size = column<std::int64_t>(SPEAD_ATTRIBUTE(object, "extra_size"), count);
        const auto extra = column<std::uint8_t>(SPEAD_ATTRIBUTE(object, "extra"), count * max_heap_extra_);
        for (std::size_t i = 0; i < count; i++) {
            heaps[i].chunk_id = chunk_id[i];
            heaps[i].heap_index = heap_index[i];
            heaps[i].heap_offset = heap_offset[i];
            heaps[i].extra_offset = extra_offset[i];
            heaps[i].extra_size = extra_size[i];
        }
        // One after the other, as in the array.
        if (!extra.empty()) std::memcpy(heaps[0].extra, extra.data(), extra.size());
        const auto added = column<std::uint64_t>(stats, batch_stats.size());
        std::copy(added.begin(), added.end(), batch_stats.begin());
    }

    struct Expiry {
        FirstPackets &packets;
        ~Expiry() { packets.expire(); }
    };

    template <typename T>
    static void copy(nb::handle array, const T *values, std::size_t count) {
        std::memcpy(const_cast<void *>(memory_of(array, true).data), values, count * sizeof(T));
    }
    template <typename T>
    static std::span<const T> column(nb::handle array, std::size_t count) {
        const spead_slice memory = memory_of(array);
        if (memory.size != count * sizeof(T)) throw std::invalid_argument("the placement changed the size of an array");
        return {static_cast<const T *>(memory.data), count};
    }

    nb::object function_;
    const std::size_t num_items_;
    const std::size_t max_heap_extra_;
};

// --------------------------------------------------------------------------------------------------------------- runner

class PyChunkRunner : public RunnerFace<ChunkRunner> {
public:
    using RunnerFace::RunnerFace;

    // The counters that every stream has, those of the user's own and of chunks, and all others.
    nb::tuple statistics() {
        std::pair<Statistics, ChunkStatistics> result;
        {
            const MaybeRelease released;
            result = runner_->statistics();
        }
        const auto &[core, chunks] = result;
        nb::list own;
        for (const std::uint64_t value : chunks.custom) own.append(value);
        for (const std::uint64_t value : {chunks.too_old_heaps, chunks.rejected_heaps, chunks.misplaced_heaps}) own.append(value);
        return nb::make_tuple(to_list(core, false), own, to_list(core, true));
    }
};

std::shared_ptr<ChunkRunner> make_runner(const ReceiveSettings &settings, const WindowHandle &window, const PlacerHandle &placer,
                                         std::uint64_t stream_id, std::size_t max_chunks, std::vector<std::uint64_t> items,
                                         std::size_t max_heap_extra, std::size_t num_core_stats, std::int64_t packet_size,
                                         std::vector<bool> stats_are_maxima) {
    ChunkConfig config;
    config.assembler = settings.config.assembler;
    config.placement = {.items = std::move(items),
                        .max_heap_extra = max_heap_extra,
                        .packet_size = packet_size,
                        .num_core_stats = num_core_stats,
                        .stats_are_maxima = std::move(stats_are_maxima)};
    config.max_chunks = max_chunks;
    config.stream_id = stream_id;
    config.explicit_start = settings.config.explicit_start;
    config.end_with_any = settings.config.end_with_any;
    const MaybeRelease released;
    return std::make_shared<ChunkRunner>(config, placer.placer, window.window, write_log);
}

}  // namespace

void bind_chunks(nb::module_ &m) {
    static PyType_Slot ring_slots[] = {
        {Py_tp_traverse, reinterpret_cast<void *>(RingHandle::traverse)},
        {Py_tp_clear, reinterpret_cast<void *>(RingHandle::clear)},
        {0, nullptr},
    };
    nb::class_<RingHandle>(m, "ChunkRing", nb::type_slots(ring_slots))
        .def(nb::init<std::size_t>(), arg("maxsize"))
        .def_prop_ro("data_fd", [](const RingHandle &self) { return self.ring->data_fd(); })
        .def_prop_ro("space_fd", [](const RingHandle &self) { return self.ring->space_fd(); })
        .def("__len__", [](const RingHandle &self) { return self.ring->size(); })
        .def("statistics", &RingHandle::statistics)
        .def("put", &RingHandle::put, arg("chunk"))
        .def("get", &RingHandle::get)
        .def("stop", [](const RingHandle &self) { return self.ring->stop(); })
        .def("add_producer", [](const RingHandle &self) { self.ring->add_producer(); })
        .def("remove_producer", [](const RingHandle &self) { return self.ring->remove_producer(); })
        .def("offer", &RingHandle::offer, arg("chunk"), arg("when_space"))
        .def("request", &RingHandle::request, arg("when_data"))
        .def("forget", &RingHandle::forget, arg("callback"))
        .def("put_last", &RingHandle::put_last, arg("chunks"));
    nb::class_<WindowHandle>(m, "ChunkWindow")
        .def(
            "__init__",
            [](WindowHandle *self, std::size_t max_chunks, const RingHandle &data_ring, const RingHandle &free_ring, bool lossless) {
                ::new (self) WindowHandle{std::make_shared<ChunkWindow>(max_chunks, data_ring.ring, free_ring.ring, lossless)};
            },
            nb::kw_only(), arg("max_chunks"), arg("data_ring"), arg("free_ring"), arg("lossless"))
        .def_prop_ro("began",
                     [](const WindowHandle &self) {
                         const MaybeRelease released;
                         return self.window->began();
                     })
        .def("close", [](const WindowHandle &self) { self.window->close(); });
    nb::class_<FirstPackets>(m, "FirstPackets").def("__call__", &FirstPackets::take);
    nb::class_<PlacerHandle>(m, "Placer")
        .def_static("compiled", compiled_placer, arg("address"), arg("user_data").none(), arg("owner"))
        .def_static("layout", layout_placer, arg("num_items"), arg("required"), arg("programs"))
        .def_static(
            "python",
            [](nb::object function, std::size_t num_items, std::size_t max_heap_extra) {
                return PlacerHandle{std::make_shared<PythonPlacer>(std::move(function), num_items, max_heap_extra)};
            },
            arg("function"), arg("num_items"), arg("max_heap_extra"));
    nb::class_<PyChunkRunner>(m, "ChunkRunner")
        .def(
            "__init__",
            [](PyChunkRunner *self, const ReceiveSettings &settings, const WindowHandle &window, const PlacerHandle &placer,
               std::uint64_t stream_id, std::size_t max_chunks, std::vector<std::uint64_t> items, std::size_t max_heap_extra,
               std::size_t num_core_stats, std::int64_t packet_size, std::vector<bool> stats_are_maxima) {
                ::new (self) PyChunkRunner(make_runner(settings, window, placer, stream_id, max_chunks, std::move(items),
                                                       max_heap_extra, num_core_stats, packet_size, std::move(stats_are_maxima)));
            },
            nb::kw_only(), arg("settings"), arg("window"), arg("placer"), arg("stream_id"), arg("max_chunks"), arg("items"),
            arg("max_heap_extra"), arg("num_core_stats"), arg("packet_size"), arg("stats_are_maxima"))
        .def("add_reader", &PyChunkRunner::add_reader, arg("receiver"), arg("worker"))
        .def("start", &PyChunkRunner::start)
        .def("stop", &PyChunkRunner::stop)
        .def("statistics", &PyChunkRunner::statistics)
        .def("drops", &PyChunkRunner::drops);
}

}  // namespace spead::python
