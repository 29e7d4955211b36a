#include "numbered_heaps.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

#include "byte_order.hpp"
#include "conversion.hpp"
#include "item_classes.hpp"
#include "packet_header.hpp"
#include "python_objects.hpp"

namespace spead::python {

namespace {

// Offsets of the Python classes' slots.
std::size_t cnt_slot, substream_slot, rate_slot, state_slot;
PyTypeObject *prepared_type = nullptr;

[[noreturn]] void refuse(const std::string &message) {
    const nb::object error = nb::handle(PyExc_OSError)(EINVAL, message);
    PyErr_SetObject(PyExc_OSError, error.ptr());
    nb::raise_python_error();
}

std::string text_of(nb::handle object) { return nb::cast<std::string>(nb::str(object)); }

// An attribute of a reference or a heap. Nothing else holds it while Python code runs.
nb::object attribute(nb::handle object, std::size_t offset, const char *name) {
    PyObject *value = slot(object.ptr(), offset);
    if (value) return nb::borrow(value);
    PyErr_SetString(PyExc_AttributeError, name);
    nb::raise_python_error();
}

// An integer of any size: those out of range become the largest or smallest one.
std::int64_t integer(nb::handle object) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
    if (value == -1 && PyErr_Occurred()) nb::raise_python_error();
    if (overflow != 0) return overflow > 0 ? INT64_MAX : INT64_MIN;
    return value;
}

double real(nb::handle object) {
    const double value = PyFloat_AsDouble(object.ptr());
    if (value == -1.0 && PyErr_Occurred()) nb::raise_python_error();
    return value;
}

bool truth(nb::handle object) {
    const int value = PyObject_IsTrue(object.ptr());
    if (value < 0) nb::raise_python_error();
    return value == 1;
}

// As CntSequence.take: the first of the next numbers, and the step to the one after it.
std::pair<std::uint64_t, std::uint64_t> take_from(nb::handle sequence, std::uint64_t count) {
    PyObject *&state = slot(sequence.ptr(), state_slot);
    for (;;) {
        const auto pair = nb::cast<nb::tuple>(nb::handle(state));
        const std::uint64_t first = PyLong_AsUnsignedLongLongMask(nb::handle(pair[0]).ptr());
        const std::uint64_t step = PyLong_AsUnsignedLongLongMask(nb::handle(pair[1]).ptr());
        if (PyErr_Occurred()) nb::raise_python_error();
        nb::object next = nb::make_tuple(first + count * step, pair[1]);
        if (state != pair.ptr()) continue;  // new objects may start a garbage collection, in which Python code runs
        Py_SETREF(state, next.release().ptr());
        return {first, step};
    }
}

// The memory of a vector of bytes.
spead_slice bytes_in(nb::handle array) {
    if (!is_vector(array, NPY_UINT8)) return memory_of(array);
    return {PyArray_DATA(as_array(array)), static_cast<std::size_t>(PyArray_DIM(as_array(array), 0))};
}

nb::list list_of(nb::handle heap, std::size_t offset, const char *name) { return nb::cast<nb::list>(attribute(heap, offset, name)); }

// As Heap.layout of Python, but without arrays.
PreparedHeap prepare(nb::handle heap) {
    const ItemClasses &classes = item_classes;
    auto layout = std::make_shared<HeapLayout>();
    for (const nb::handle word : list_of(heap, classes.words, "words")) layout->pointers.push_back(nb::cast<std::uint64_t>(word));
    for (const nb::handle block : list_of(heap, classes.payload, "payload")) {
        layout->payload.push_back(bytes_in(block));
        layout->payload_size += layout->payload.back().size;
    }
    for (const nb::handle index : list_of(heap, classes.empty_items, "empty_items"))
        layout->pointers.at(nb::cast<std::size_t>(index)) += layout->payload_size;
    PreparedHeap prepared{.layout = nullptr, .late_values = {}, .heap_address_bits = 0};
    for (const nb::handle late : list_of(heap, classes.late_values, "late_values")) {
        const auto index = nb::cast<std::size_t>(late[0]);
        prepared.late_values.push_back({index, bytes_in(late[1])});
        if (index >= layout->pointers.size()) throw std::out_of_range("an immediate value of an item that is not in the heap");
    }
    prepared.layout = std::move(layout);
    prepared.heap_address_bits = nb::cast<unsigned>(SPEAD_ATTRIBUTE(attribute(heap, classes.flavour, "flavour"), "heap_address_bits"));
    return prepared;
}

// Fill in what a heap itself says.
void describe(nb::handle heap, OutgoingHeap &out) {
    nb::object kept = attribute(heap, item_classes.prepared, "prepared");
    if (Py_TYPE(kept.ptr()) != prepared_type) {
        kept = nb::cast(prepare(heap));
        Py_XSETREF(slot(heap.ptr(), item_classes.prepared), Py_NewRef(kept.ptr()));
    }
    const PreparedHeap &prepared = *nb::inst_ptr<PreparedHeap>(kept);
    out.layout = prepared.current();
    out.heap_address_bits = prepared.heap_address_bits;
    out.repeat_pointers = truth(attribute(heap, item_classes.repeat_pointers, "repeat_pointers"));
}

// Fill in how a heap is sent, but for the number; whether that is still to be chosen.
bool describe_sending(nb::handle cnt, nb::handle substream_index, nb::handle rate, std::size_t num_substreams, bool keeps_rate,
                      OutgoingHeap &out) {
    const std::int64_t destination = integer(substream_index);
    if (destination < 0 || static_cast<std::uint64_t>(destination) >= num_substreams)
        refuse("substream_index " + text_of(substream_index) + " is out of range: there are " + std::to_string(num_substreams) +
               " substreams");
    out.destination = static_cast<std::size_t>(destination);
    const std::int64_t number = integer(cnt);
    if (number > 0 && static_cast<std::uint64_t>(number) > address_mask(out.heap_address_bits))
        refuse("heap cnt " + text_of(cnt) + " does not fit the flavour's " + std::to_string(out.heap_address_bits) + " bits");
    out.rate = keeps_rate ? real(rate) : -1.0;
    out.cnt = number < 0 ? 0 : static_cast<std::uint64_t>(number);
    return number < 0;
}

}  // namespace

std::shared_ptr<const HeapLayout> PreparedHeap::current() const {
    if (late_values.empty()) return layout;
    auto copy = std::make_shared<HeapLayout>(*layout);
    for (const auto &[pointer, bytes] : late_values)
        copy->pointers[pointer] |= load_number(static_cast<const std::uint8_t *>(bytes.data), bytes.size);
    return copy;
}

HeapNumbering::HeapNumbering(nb::object sequence, std::size_t num_substreams, bool keeps_rate)
    : sequence_(std::move(sequence)), num_substreams_(num_substreams), keeps_rate_(keeps_rate) {
    if (Py_TYPE(sequence_.ptr()) != reinterpret_cast<PyTypeObject *>(Names::get().cnt_sequence.ptr()))
        throw nb::type_error("expected a CntSequence");
}

NumberedHeaps HeapNumbering::group(nb::handle references) const {
    const auto members = nb::cast<nb::tuple>(references.attr("references"));
    const auto heaps = nb::cast<nb::tuple>(references.attr("heaps"));
    const std::size_t size = members.size();
    if (size == 0) refuse("there are no heaps to send");
    if (heaps.size() != size) throw std::invalid_argument("a HeapReferenceList with more or fewer heaps than references");
    NumberedHeaps numbered;
    numbered.heaps.resize(size);
    std::vector<OutgoingHeap *> unnumbered;
    for (std::size_t i = 0; i < size; i++) {
        OutgoingHeap &out = numbered.heaps[i];
        const nb::handle member = members[i];
        describe(heaps[i], out);
        if (describe_sending(attribute(member, cnt_slot, "cnt"), attribute(member, substream_slot, "substream_index"),
                             attribute(member, rate_slot, "rate"), num_substreams_, keeps_rate_, out))
            unnumbered.push_back(&out);
        numbered.payload_size += out.layout->payload_size;
    }
    if (unnumbered.empty()) return numbered;
    auto [cnt, step] = take_from(sequence_, unnumbered.size());
    for (OutgoingHeap *out : unnumbered) {
        out->cnt = cnt & address_mask(out->heap_address_bits);
        cnt += step;
    }
    return numbered;
}

NumberedHeaps HeapNumbering::one(nb::handle heap, nb::handle cnt, nb::handle substream_index, nb::handle rate) const {
    if (!PyObject_TypeCheck(heap.ptr(), item_classes.heap_to_send))
        throw nb::type_error(("heap must be a send.Heap, not " + std::string(Py_TYPE(heap.ptr())->tp_name)).c_str());
    NumberedHeaps numbered;
    OutgoingHeap &out = numbered.heaps.emplace_back();
    describe(heap, out);
    if (describe_sending(cnt, substream_index, rate, num_substreams_, keeps_rate_, out))
        out.cnt = take_from(sequence_, 1).first & address_mask(out.heap_address_bits);
    numbered.payload_size = out.layout->payload_size;
    return numbered;
}

std::vector<OutgoingHeap> outgoing_heaps(nb::handle numbered) {
    std::vector<OutgoingHeap> result;
    for (const nb::handle item : numbered) {
        const nb::object reference = SPEAD_ATTRIBUTE(item, "reference");
        OutgoingHeap &out = result.emplace_back();
        describe(SPEAD_ATTRIBUTE(reference, "heap"), out);
        out.cnt = nb::cast<std::uint64_t>(SPEAD_ATTRIBUTE(item, "cnt"));
        out.destination = nb::cast<std::size_t>(SPEAD_ATTRIBUTE(reference, "substream_index"));
        out.rate = real(SPEAD_ATTRIBUTE(reference, "rate"));
    }
    return result;
}

void define_numbered_heaps(nb::module_ &module) {
    const Names &names = Names::get();
    cnt_slot = offset_of_slot(names.heap_reference, "cnt");
    substream_slot = offset_of_slot(names.heap_reference, "substream_index");
    rate_slot = offset_of_slot(names.heap_reference, "rate");
    state_slot = offset_of_slot(names.cnt_sequence, "state");
    const auto prepared = nb::class_<PreparedHeap>(module, "PreparedHeap", nb::is_final());
    prepared_type = reinterpret_cast<PyTypeObject *>(prepared.ptr());
}

}  // namespace spead::python
