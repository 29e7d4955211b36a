// Shortcuts for item groups.
#include <nanobind/nanobind.h>

#include "handles.hpp"
#include "item_classes.hpp"
#include "item_reader.hpp"
#include "item_writer.hpp"

namespace spead::python {

namespace {

struct ItemShortcuts {
    ItemReader reader;
    ItemWriter writer;
};

}  // namespace

void bind_items(nb::module_ &m) {
    import_numpy();
    item_classes.look_up();
    nb::class_<ItemShortcuts>(m, "ItemShortcuts")
        .def(nb::init<>())
        .def("update", [](ItemShortcuts &self, nb::handle items, long revision, nb::handle heap, nb::handle new_order) {
            return self.reader.update(items, revision, heap, new_order);
        }, nb::arg("items"), nb::arg("revision"), nb::arg("heap"), nb::arg("new_order"))
        .def("fill", [](ItemShortcuts &self, nb::handle heap, nb::handle sent, bool everything) {
            return self.writer.fill(heap, sent, everything);
        }, nb::arg("heap"), nb::arg("sent"), nb::arg("everything"))
        // A copy of an item group has shortcuts of its own.
        .def("__reduce__", [](nb::handle self) { return nb::make_tuple(self.type(), nb::make_tuple()); });
}

}  // namespace spead::python
