// Gives items the values that are in received heaps: the shortcut for ItemGroup.update. Everything here wants the GIL.
//
// Most heaps of a stream have the same item pointers but for the immediate values. What is done for a heap is planned when
// its pointers are first seen, with the help of Python, and done again for as long as the pointers stay.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace spead::python {

namespace nb = nanobind;

class ItemReader {
public:
    // See Shortcuts.update.
    nb::object update(nb::handle items, long revision, nb::handle heap, nb::handle new_order);

private:
    struct Arrived;
    struct Plan;

    bool take_apart(nb::handle heap, Arrived &arrived);
    std::shared_ptr<const Plan> make_plan(const Arrived &arrived, nb::handle items, long revision, nb::handle new_order);
    nb::object find_item(nb::handle items, nb::handle item_id, bool &all_known);

    // Of the last heaps. Python code may run while a heap is looked at, and another thread replace it.
    std::shared_ptr<const Plan> plan_;
    // Of the last heap.
    nb::object flavour_;
    unsigned address_bits_ = 0;
    // Ids of items without a descriptor that Python was left to complain about, in a group of that revision.
    std::vector<std::uint64_t> unknown_;
    long unknown_revision_ = -1;
};

}  // namespace spead::python
