#include "heap_type.hpp"

#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "heap_items.hpp"
#include "memory_carver.hpp"
#include "numpy_api.hpp"
#include "python_objects.hpp"

namespace spead::python {

namespace {

// ------------------------------------------------------------------------------------------- memory, as numpy's base

// Keeps a segment.
struct Memory {
    PyObject_HEAD
    SegmentRef segment;
};

PyTypeObject *memory_type = nullptr;

void memory_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    reinterpret_cast<Memory *>(self)->segment.~SegmentRef();
    type->tp_free(self);
    Py_DECREF(type);
}

// -------------------------------------------------------------------------------------------------------------- heaps

// What is behind the slots of the Python class, until it is asked for.
struct Pending {
    // False for an object that Python code made.
    bool received = false;
    ReceivedHeap heap;
};

PyTypeObject *heap_type = nullptr;
std::size_t pending_offset = 0;
// Offsets of the Python class's slots.
std::size_t cnt_slot, flavour_slot, pointers_slot, payload_slot;

// Objects whose life is over, with nothing in them: the next heaps need not be allocated. Guarded by the GIL.
constexpr std::size_t most_idle = 256;
std::array<PyObject *, most_idle> idle;
std::size_t num_idle = 0;

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
    if (type->tp_weaklistoffset != 0) PyObject_ClearWeakRefs(self);
    heap_clear(self);
    pending_of(self).~Pending();
    if (num_idle < most_idle)
        idle[num_idle++] = self;
    else
        type->tp_free(self);
    Py_DECREF(type);
}

// A new object, with empty slots.
nb::object make_object() {
    if (num_idle == 0) {
        nb::object fresh = nb::steal(heap_alloc(heap_type, 0));
        if (!fresh.is_valid()) nb::raise_python_error();
        return fresh;
    }
    PyObject *self = PyObject_Init(idle[--num_idle], heap_type);
    ::new (reinterpret_cast<char *>(self) + pending_offset) Pending;
    PyObject_GC_Track(self);
    return nb::steal(self);
}

// An array of a copy of `size` bytes.
nb::object array_of_copy(const void *data, std::size_t size, int type, std::size_t item_size) {
    const auto count = static_cast<npy_intp>(size / item_size);
    nb::object array = nb::steal(PyArray_SimpleNew(1, &count, type));
    if (!array.is_valid()) nb::raise_python_error();
    std::memcpy(PyArray_DATA(as_array(array)), data, size);
    return array;
}

PyObject *make_cnt(const ReceivedHeap &heap) { return PyLong_FromUnsignedLongLong(heap.cnt); }

PyObject *make_pointers(const ReceivedHeap &heap) {
    const auto view = heap.pointers.view();
    if (view.empty()) return Py_NewRef(Names::get().no_pointers.ptr());
    return array_of_copy(view.data(), view.size_bytes(), NPY_UINT64, sizeof view.front()).release().ptr();
}

PyObject *make_payload(ReceivedHeap &heap) {
    const auto size = static_cast<std::size_t>(heap.length);
    if (!MemoryCarver::is_piece(heap.memory, size)) return array_over(std::move(heap.memory), heap.payload, size).release().ptr();
    // The bytes of other heaps should not live as long as those of this one.
    nb::object copy = array_of_copy(heap.payload, size, NPY_UINT8, 1);
    heap.memory = {};
    return copy.release().ptr();
}

// The attribute at `offset`, made by `make` if this is the first time that it is wanted.
template <typename Make>
PyObject *get_lazily(PyObject *self, std::size_t offset, const char *name, Make make) noexcept {
    PyObject *&value = slot(self, offset);
    try {
        if (!value && pending_of(self).received) value = make(pending_of(self).heap);
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

PyObject *get_cnt(PyObject *self, void *) { return get_lazily(self, cnt_slot, "cnt", make_cnt); }
PyObject *get_pointers(PyObject *self, void *) { return get_lazily(self, pointers_slot, "pointers", make_pointers); }
PyObject *get_payload(PyObject *self, void *) { return get_lazily(self, payload_slot, "payload", make_payload); }
int set_cnt(PyObject *self, PyObject *value, void *) { return set_attribute(self, cnt_slot, value); }
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
        {"cnt", get_cnt, set_cnt, nullptr, nullptr},
        {"pointers", get_pointers, set_pointers, nullptr, nullptr},
        {"payload", get_payload, set_payload, nullptr, nullptr},
        {nullptr, nullptr, nullptr, nullptr, nullptr},
    };
    static PyMethodDef methods[] = {
        {"locate_items", locate_items, METH_NOARGS, nullptr},
        {"get_items", get_items, METH_NOARGS, nullptr},
        {nullptr, nullptr, 0, nullptr},
    };
    PyType_Slot slots[] = {
        {Py_tp_alloc, reinterpret_cast<void *>(heap_alloc)},
        {Py_tp_dealloc, reinterpret_cast<void *>(heap_dealloc)},
        {Py_tp_traverse, reinterpret_cast<void *>(heap_traverse)},
        {Py_tp_clear, reinterpret_cast<void *>(heap_clear)},
        {Py_tp_getset, attributes},
        {Py_tp_methods, methods},
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
    return pending_of(heap.ptr()).heap.pointers.view();
}

nb::object array_over(SegmentRef segment, std::uint8_t *data, std::size_t size) {
    const Names &names = Names::get();
    if (size == 0) return names.empty(0, names.uint8);
    nb::object memory = nb::steal(PyType_GenericAlloc(memory_type, 0));
    if (!memory.is_valid()) nb::raise_python_error();
    ::new (&reinterpret_cast<Memory *>(memory.ptr())->segment) SegmentRef(std::move(segment));
    const auto count = static_cast<npy_intp>(size);
    return make_array(names.uint8, 1, &count, data, false, true, std::move(memory));
}

nb::object HeapMaker::make(ReceivedHeap &&heap) {
    const nb::object flavour = this->flavour(heap.heap_address_bits);
    if (!heap.complete) {
        nb::list ranges;
        for (const auto &[start, end] : heap.ranges) ranges.append(nb::make_tuple(start, end));
        return Names::get().incomplete_heap(heap.cnt, flavour, nb::steal(make_pointers(heap)), heap.length, heap.received, ranges);
    }
    nb::object object = make_object();
    slot(object.ptr(), flavour_slot) = Py_NewRef(flavour.ptr());
    Pending &pending = pending_of(object.ptr());
    pending.heap = std::move(heap);
    pending.received = true;
    return object;
}

nb::object HeapMaker::flavour(unsigned heap_address_bits) {
    nb::object &flavour = flavours_[heap_address_bits / 8];
    if (!flavour.is_valid()) flavour = Names::get().flavour(4, 64, heap_address_bits, bug_compat_);
    return flavour;
}

}  // namespace spead::python
