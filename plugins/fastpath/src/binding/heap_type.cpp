#include "heap_type.hpp"

#include <cstring>
#include <new>
#include <utility>

#include "python_objects.hpp"

namespace spead::python {

namespace {

// ------------------------------------------------------------------------------------------- memory, as numpy's base

// Exports a piece of a segment, and keeps it.
struct Memory {
    PyObject_HEAD
    SegmentRef segment;
    std::uint8_t *data;
    Py_ssize_t size;
};

PyTypeObject *memory_type = nullptr;

void memory_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    reinterpret_cast<Memory *>(self)->segment.~SegmentRef();
    type->tp_free(self);
    Py_DECREF(type);
}

int memory_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    auto *memory = reinterpret_cast<Memory *>(self);
    return PyBuffer_FillInfo(view, self, memory->data, memory->size, 0, flags);
}

// -------------------------------------------------------------------------------------------------------------- heaps

// What a heap has behind the slots of the Python class, until it is asked for.
struct Pending {
    PointerList pointers;
    SegmentRef memory;
    std::uint8_t *payload = nullptr;
    Py_ssize_t size = 0;
    // False for an object that Python code made.
    bool received = false;
};

PyTypeObject *heap_type = nullptr;
std::size_t pending_offset = 0;
// Offsets of the Python class's slots.
std::size_t cnt_slot, flavour_slot, pointers_slot, payload_slot;

Pending &pending_of(PyObject *self) {
    return *std::launder(reinterpret_cast<Pending *>(reinterpret_cast<char *>(self) + pending_offset));
}

PyObject *heap_alloc(PyTypeObject *type, Py_ssize_t items) {
    PyObject *self = PyType_GenericAlloc(type, items);
    if (self) ::new (reinterpret_cast<char *>(self) + pending_offset) Pending;
    return self;
}

int heap_traverse(PyObject *self, visitproc visit, void *arg) {
    for (const std::size_t offset : {cnt_slot, flavour_slot, pointers_slot, payload_slot}) Py_VISIT(slot(self, offset));
    Py_VISIT(Py_TYPE(self));
    return 0;
}

int heap_clear(PyObject *self) {
    for (const std::size_t offset : {cnt_slot, flavour_slot, pointers_slot, payload_slot}) Py_CLEAR(slot(self, offset));
    return 0;
}

void heap_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (type->tp_weaklistoffset > 0) PyObject_ClearWeakRefs(self);
    heap_clear(self);
    pending_of(self).~Pending();
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *array_of(PyObject *buffer, const nb::object &dtype) {
    return Names::get().frombuffer(nb::handle(buffer), dtype).release().ptr();
}

PyObject *make_pointers(const Pending &pending) {
    const auto view = pending.pointers.view();
    if (view.empty()) return Py_NewRef(Names::get().no_pointers.ptr());
    const nb::object bytes = nb::steal(PyByteArray_FromStringAndSize(reinterpret_cast<const char *>(view.data()),
                                                                     static_cast<Py_ssize_t>(view.size_bytes())));
    if (!bytes.is_valid()) nb::raise_python_error();
    return array_of(bytes.ptr(), Names::get().uint64);
}

PyObject *make_payload(Pending &pending) {
    return array_over(std::move(pending.memory), pending.payload, static_cast<std::size_t>(pending.size)).release().ptr();
}

// The attribute at `offset`, made by `make` if this is the first time that it is wanted.
template <typename Make>
PyObject *get_lazily(PyObject *self, std::size_t offset, const char *name, Make make) noexcept {
    PyObject *&value = slot(self, offset);
    try {
        if (!value && pending_of(self).received) value = make(pending_of(self));
    } catch (nb::python_error &exception) {
        exception.restore();
        return nullptr;
    }
    if (value) return Py_NewRef(value);
    PyErr_SetString(PyExc_AttributeError, name);
    return nullptr;
}

int set_attribute(PyObject *self, std::size_t offset, PyObject *value) {
    Py_XINCREF(value);
    Py_XSETREF(slot(self, offset), value);
    return 0;
}

PyObject *get_pointers(PyObject *self, void *) { return get_lazily(self, pointers_slot, "pointers", make_pointers); }
PyObject *get_payload(PyObject *self, void *) { return get_lazily(self, payload_slot, "payload", make_payload); }
int set_pointers(PyObject *self, PyObject *value, void *) { return set_attribute(self, pointers_slot, value); }
int set_payload(PyObject *self, PyObject *value, void *) { return set_attribute(self, payload_slot, value); }

PyTypeObject *make_type(PyType_Spec &spec, PyObject *bases) {
    PyObject *type = PyType_FromSpecWithBases(&spec, bases);
    if (!type) nb::raise_python_error();
    return reinterpret_cast<PyTypeObject *>(type);
}

void define_memory_type() {
    PyType_Slot slots[] = {
        {Py_tp_dealloc, reinterpret_cast<void *>(memory_dealloc)},
        {Py_bf_getbuffer, reinterpret_cast<void *>(memory_getbuffer)},
        {0, nullptr},
    };
    PyType_Spec spec{"spead_transport_fastpath._native.Memory", sizeof(Memory), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    memory_type = make_type(spec, nullptr);
}

}  // namespace

void define_heap_type(nb::module_ &module) {
    define_memory_type();
    const nb::object base = Names::get().heap;
    const auto *base_type = reinterpret_cast<PyTypeObject *>(base.ptr());
    cnt_slot = offset_of_slot(base, "cnt");
    flavour_slot = offset_of_slot(base, "flavour");
    pointers_slot = offset_of_slot(base, "pointers");
    payload_slot = offset_of_slot(base, "payload");
    constexpr std::size_t alignment = alignof(Pending);
    pending_offset = (static_cast<std::size_t>(base_type->tp_basicsize) + alignment - 1) / alignment * alignment;

    static PyGetSetDef attributes[] = {
        {"pointers", get_pointers, set_pointers, nullptr, nullptr},
        {"payload", get_payload, set_payload, nullptr, nullptr},
        {nullptr, nullptr, nullptr, nullptr, nullptr},
    };
    PyType_Slot slots[] = {
        {Py_tp_alloc, reinterpret_cast<void *>(heap_alloc)},
        {Py_tp_dealloc, reinterpret_cast<void *>(heap_dealloc)},
        {Py_tp_traverse, reinterpret_cast<void *>(heap_traverse)},
        {Py_tp_clear, reinterpret_cast<void *>(heap_clear)},
        {Py_tp_getset, attributes},
        {0, nullptr},
    };
    PyType_Spec spec{"spead_transport_fastpath._native.Heap", static_cast<int>(pending_offset + sizeof(Pending)), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};
    heap_type = make_type(spec, base.ptr());
    module.attr("Heap") = nb::handle(reinterpret_cast<PyObject *>(heap_type));
}

std::optional<std::span<const std::uint64_t>> pointers_of(nb::handle heap) {
    // An array in the slot may have been changed, or be another one.
    if (Py_TYPE(heap.ptr()) != heap_type || slot(heap.ptr(), pointers_slot) || !pending_of(heap.ptr()).received) return std::nullopt;
    return pending_of(heap.ptr()).pointers.view();
}

nb::object array_over(SegmentRef segment, std::uint8_t *data, std::size_t size) {
    const Names &names = Names::get();
    if (size == 0) return names.empty(0, names.uint8);
    const nb::object memory = nb::steal(PyType_GenericAlloc(memory_type, 0));
    if (!memory.is_valid()) nb::raise_python_error();
    auto *raw = reinterpret_cast<Memory *>(memory.ptr());
    ::new (&raw->segment) SegmentRef(std::move(segment));
    raw->data = data;
    raw->size = static_cast<Py_ssize_t>(size);
    return nb::steal(array_of(memory.ptr(), names.uint8));
}

nb::object HeapMaker::make(ReceivedHeap &&heap) {
    const nb::object flavour = this->flavour(heap.heap_address_bits);
    if (!heap.complete) {
        Pending pending;
        pending.pointers = std::move(heap.pointers);
        nb::list ranges;
        for (const auto &[start, end] : heap.ranges) ranges.append(nb::make_tuple(start, end));
        return Names::get().incomplete_heap(heap.cnt, flavour, nb::steal(make_pointers(pending)), heap.length, heap.received,
                                            ranges);
    }
    nb::object object = nb::steal(heap_alloc(heap_type, 0));
    if (!object.is_valid()) nb::raise_python_error();
    slot(object.ptr(), cnt_slot) = PyLong_FromUnsignedLongLong(heap.cnt);
    slot(object.ptr(), flavour_slot) = Py_NewRef(flavour.ptr());
    Pending &pending = pending_of(object.ptr());
    pending.pointers = std::move(heap.pointers);
    pending.memory = std::move(heap.memory);
    pending.payload = heap.payload;
    pending.size = static_cast<Py_ssize_t>(heap.length);
    pending.received = true;
    return object;
}

nb::object HeapMaker::flavour(unsigned heap_address_bits) {
    nb::object &flavour = flavours_[heap_address_bits / 8];
    if (!flavour.is_valid()) flavour = Names::get().flavour(4, 64, heap_address_bits, bug_compat_);
    return flavour;
}

}  // namespace spead::python
