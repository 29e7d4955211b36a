#include "item_writer.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include "byte_order.hpp"
#include "item_classes.hpp"
#include "packet_header.hpp"
#include "python_objects.hpp"

namespace spead::python {

namespace {

struct Entry {
    nb::object sent;
    nb::object item;
    std::uint64_t id;
    bool allow_immediate;
    ArrayForm array;
    IntegerForm integer;
};

// What is added to a heap; nothing before `commit`.
class Addition {
public:
    Addition(nb::handle heap, unsigned address_bits)
        : heap_(heap), address_bits_(address_bits), first_(list(item_classes.words)), size_(payload_size()) {}

    void add_word(std::uint64_t word) { words_.push_back(word); }

    // False if the heap would become too large.
    bool add(std::uint64_t id, bool allow_immediate, nb::object bytes) {
        const auto size = static_cast<std::size_t>(PyArray_DIM(as_array(bytes), 0));
        if (size == 0) {
            empty_.push_back(first_ + words_.size());
            words_.push_back(id << address_bits_);
        } else if (allow_immediate && size <= address_bits_ / 8) {
            std::uint64_t word = immediate(id, address_bits_);
            PyObject *base = PyArray_BASE(as_array(bytes));
            if (base && PyBytes_CheckExact(base))  // cannot change
                word |= load_number(static_cast<const std::uint8_t *>(PyArray_DATA(as_array(bytes))), size);
            else
                late_.emplace_back(first_ + words_.size(), std::move(bytes));
            words_.push_back(word);
        } else {
            if (size > address_mask(address_bits_) - size_) return false;
            words_.push_back(id << address_bits_ | size_);
            size_ += size;
            payload_.push_back(std::move(bytes));
        }
        return true;
    }

    void commit() {
        for (const std::uint64_t word : words_) append(item_classes.words, nb::steal(PyLong_FromUnsignedLongLong(word)));
        for (const std::size_t index : empty_) append(item_classes.empty_items, nb::int_(index));
        for (auto &[index, bytes] : late_) append(item_classes.late_values, nb::make_tuple(index, bytes));
        if (!payload_.empty()) {
            for (nb::object &block : payload_) append(item_classes.payload, std::move(block));
            Py_XSETREF(slot(heap_.ptr(), item_classes.payload_size), PyLong_FromUnsignedLongLong(size_));
        }
        Py_XSETREF(slot(heap_.ptr(), item_classes.prepared), Py_NewRef(Py_None));
    }

private:
    PyObject *checked(std::size_t offset, bool (*is)(PyObject *)) const {
        PyObject *object = slot(heap_.ptr(), offset);
        if (!object || !is(object)) throw std::invalid_argument("the attributes of a heap that are for engines are damaged");
        return object;
    }
    PyObject *checked_list(std::size_t offset) const {
        return checked(offset, [](PyObject *object) { return PyList_CheckExact(object) != 0; });
    }
    std::size_t list(std::size_t offset) const { return static_cast<std::size_t>(PyList_GET_SIZE(checked_list(offset))); }
    std::uint64_t payload_size() const {
        return nb::cast<std::uint64_t>(
            nb::handle(checked(item_classes.payload_size, [](PyObject *object) { return PyLong_CheckExact(object) != 0; })));
    }
    void append(std::size_t offset, nb::object object) const {
        if (!object.is_valid() || PyList_Append(checked_list(offset), object.ptr()) < 0) nb::raise_python_error();
    }

    nb::handle heap_;
    unsigned address_bits_;
    std::size_t first_;
    std::uint64_t size_;
    std::vector<std::uint64_t> words_;
    std::vector<std::size_t> empty_;
    std::vector<std::pair<std::size_t, nb::object>> late_;
    std::vector<nb::object> payload_;
};

bool is_newer(PyObject *version, PyObject *sent) {
    const int newer = PyObject_RichCompareBool(version, sent, Py_GT);
    if (newer < 0) nb::raise_python_error();
    return newer == 1;
}

// The memory of an array, byte by byte.
nb::object bytes_of(nb::handle value, std::size_t size) {
    const auto length = static_cast<npy_intp>(size);
    PyArrayObject *array = as_array(value);
    return make_array(Names::get().uint8, 1, &length, PyArray_DATA(array), false, PyArray_ISWRITEABLE(array), nb::borrow(value));
}

}  // namespace

// What is known of a list of items.
struct ItemWriter::Plan {
    nb::object list;
    std::vector<Entry> entries;
    nb::object flavour;
    unsigned address_bits;
    std::uint64_t max_id;

    // Null if the items are not as simple as that.
    static std::shared_ptr<const Plan> make(nb::handle list, nb::object flavour) {
        auto plan = std::make_shared<Plan>();
        plan->list = nb::borrow(list);
        plan->address_bits = nb::cast<unsigned>(SPEAD_ATTRIBUTE(flavour, "heap_address_bits"));
        plan->max_id = nb::cast<std::uint64_t>(SPEAD_ATTRIBUTE(flavour, "max_id"));
        plan->flavour = std::move(flavour);
        for (const nb::handle sent : list) {
            Entry entry;
            entry.sent = nb::borrow(sent);
            entry.item = SPEAD_ATTRIBUTE(sent, "item");
            if (Py_TYPE(sent.ptr()) != item_classes.sent_item || Py_TYPE(entry.item.ptr()) != item_classes.item) return nullptr;
            entry.id = nb::cast<std::uint64_t>(SPEAD_ATTRIBUTE(entry.item, "id"));
            if (entry.id > plan->max_id) return nullptr;
            const nb::object codec = SPEAD_ATTRIBUTE(entry.item, "codec");
            entry.allow_immediate = nb::cast<bool>(SPEAD_ATTRIBUTE(codec, "fixed_bytes"));
            entry.array = ArrayForm::of(codec, nb::str("|"));
            entry.integer = IntegerForm::of(codec);
            plan->entries.push_back(std::move(entry));
        }
        return plan;
    }
};

bool ItemWriter::fill(nb::handle heap, nb::handle list, bool everything) {
    if (Py_TYPE(heap.ptr()) != item_classes.heap_to_send || !PyList_CheckExact(list.ptr())) return false;
    nb::object flavour = nb::borrow(slot(heap.ptr(), item_classes.flavour));
    std::shared_ptr<const Plan> plan = plan_;
    if (!plan || !plan->list.is(list) || !plan->flavour.is(flavour)) {
        plan = Plan::make(list, std::move(flavour));
        if (!plan) return false;
        plan_ = plan;
    }
    Addition addition(heap, plan->address_bits);
    std::vector<std::pair<PyObject *, nb::object>> versions;
    versions.reserve(plan->entries.size());
    for (const Entry &entry : plan->entries) {
        nb::object value = nb::borrow(slot(entry.item.ptr(), item_classes.value));
        nb::object version = nb::borrow(slot(entry.item.ptr(), item_classes.version));
        if (!value.is_valid() || !version.is_valid()) return false;
        if (value.is_none() || !(everything || is_newer(version.ptr(), slot(entry.sent.ptr(), item_classes.sent_version)))) continue;
        versions.emplace_back(entry.sent.ptr(), std::move(version));
        if (std::uint64_t number; entry.integer.bits <= plan->address_bits && entry.integer.encode(value, number)) {
            addition.add_word(immediate(entry.id, plan->address_bits) | number);
            continue;
        }
        nb::object bytes =
            entry.array.matches(value) ? bytes_of(value, entry.array.size) : nb::object(SPEAD_ATTRIBUTE(entry.item, "to_buffer")());
        if (!is_vector(bytes, NPY_UINT8) || !addition.add(entry.id, entry.allow_immediate, std::move(bytes))) return false;
    }
    addition.commit();
    for (auto &[sent, version] : versions) Py_XSETREF(slot(sent, item_classes.sent_version), version.release().ptr());
    return true;
}

}  // namespace spead::python
