// Adds the values of items to heaps to send: the shortcut for HeapGenerator.add_to_heap. Everything here wants the GIL.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

namespace spead::python {

namespace nb = nanobind;

class ItemWriter {
public:
    // See Shortcuts.fill.
    bool fill(nb::handle heap, nb::handle sent, bool everything);

private:
    struct Plan;

    // For the last list of items. Python code may run while values are added, and another thread replace it.
    std::shared_ptr<const Plan> plan_;
};

}  // namespace spead::python
