// Pools of memory. The rule for the GIL is that of sending.cpp.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <optional>

#include "block_pool.hpp"
#include "handles.hpp"
#include "heap_type.hpp"
#include "python_endpoints.hpp"

namespace spead::python {

namespace {

using nb::arg;

void make_pool(PoolHandle *self, std::size_t lower, std::size_t upper, std::size_t max_free, std::size_t initial,
               std::size_t low_water, std::optional<nb::object> allocator, const WorkerHandle *worker) {
    std::shared_ptr<HeapAllocator> source{std::shared_ptr<void>(), &SegmentPool::shared()};
    if (allocator) source = std::make_shared<PythonAllocator>(*allocator, PythonAllocator::Shortage::thrown);
    const auto log = [](const std::string &warning) { write_log(false, warning); };
    const auto pool = std::make_shared<BlockPool>(BlockPoolConfig{lower, upper, max_free, low_water}, std::move(source),
                                                  worker ? worker->worker : nullptr, log);
    {
        const MaybeRelease released;
        pool->fill(initial);
    }
    ::new (self) PoolHandle{pool, allocator.has_value()};
}

nb::object allocate(const PoolHandle &self, std::size_t size) {
    const SegmentRef memory = self.pool->obtain(size);
    return array_over(memory, memory.data(), size);
}

nb::tuple statistics(const PoolHandle &self) {
    const BlockPoolStatistics s = self.pool->statistics();
    return nb::make_tuple(s.free, s.lent, s.made, s.made_in_background, s.made_when_empty, s.released, s.requests,
                          s.requests_out_of_range, s.peak_lent);
}

}  // namespace

void bind_memory(nb::module_ &m) {
    nb::class_<PoolHandle>(m, "BlockPool")
        .def("__init__", make_pool, nb::kw_only(), arg("lower"), arg("upper"), arg("max_free"), arg("initial"), arg("low_water"),
             arg("allocator").none(), arg("worker").none())
        .def("allocate", allocate, arg("size"))
        .def("statistics", statistics)
        .def_prop_ro("warn_on_empty", [](const PoolHandle &self) { return self.pool->warn_on_empty(); })
        .def("set_warn_on_empty", [](const PoolHandle &self, bool warn) { self.pool->set_warn_on_empty(warn); }, arg("warn"));
}

}  // namespace spead::python
