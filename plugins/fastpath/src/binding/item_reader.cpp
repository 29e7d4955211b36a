#include "item_reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include "byte_order.hpp"
#include "heap_type.hpp"
#include "item_classes.hpp"
#include "packet_header.hpp"
#include "python_objects.hpp"

namespace spead::python {

namespace {

constexpr std::uint64_t descriptor_id = 5;
constexpr std::uint64_t last_reserved_id = 6;

// An item that gets a value.
struct Place {
    nb::object item;
    nb::object name;
    nb::object codec;
    ArrayForm array;
    IntegerForm integer;
    // Where it is in the payload, in bytes.
    std::size_t start = 0;
    std::size_t end = 0;
    // Of an immediate item: which of the heap's pointers has it.
    std::size_t pointer = 0;
};

// The value in the memory at `data`, which `base` keeps.
nb::object array_value(const ArrayForm &form, std::uint8_t *data, bool writable, nb::object base) {
    if (form.shape.empty()) {
        nb::object scalar = nb::steal(PyArray_Scalar(data, reinterpret_cast<PyArray_Descr *>(form.dtype.ptr()), nullptr));
        if (!scalar.is_valid()) nb::raise_python_error();
        return scalar;
    }
    nb::object array = make_array(form.dtype, static_cast<int>(form.shape.size()), form.shape.data(), data, form.fortran, writable,
                                  std::move(base));
    if (form.wanted.is(form.dtype)) return array;
    auto *wanted = reinterpret_cast<PyArray_Descr *>(nb::object(form.wanted).release().ptr());  // taken over
    nb::object converted = nb::steal(PyArray_NewLikeArray(as_array(array), NPY_KEEPORDER, wanted, 0));
    if (!converted.is_valid() || PyArray_CopyInto(as_array(converted), as_array(array)) < 0) nb::raise_python_error();
    return converted;
}

void set_value(nb::handle item, nb::object value) {
    const ItemClasses &classes = item_classes;
    PyObject *&version = slot(item.ptr(), classes.version);
    nb::object next = nb::borrow(version) + nb::int_(1);
    PyObject *const old = std::exchange(slot(item.ptr(), classes.value), value.release().ptr());
    Py_XSETREF(version, next.release().ptr());
    Py_XDECREF(old);
}

bool is_byte_order(nb::handle object) {
    return PyUnicode_Check(object.ptr()) && PyUnicode_GetLength(object.ptr()) == 1 &&
           std::strchr("=<>|", static_cast<int>(PyUnicode_ReadChar(object.ptr(), 0))) != nullptr;
}

}  // namespace

// A heap, taken apart.
struct ItemReader::Arrived {
    nb::handle heap;
    unsigned address_bits = 0;
    // `owner` keeps them if the heap does not.
    std::span<const std::uint64_t> pointers;
    nb::object owner;
    nb::object payload;

    std::uint8_t *data() const { return static_cast<std::uint8_t *>(PyArray_DATA(as_array(payload))); }
    std::size_t size() const { return static_cast<std::size_t>(PyArray_DIM(as_array(payload), 0)); }
};

// What to do with a heap that has certain pointers.
struct ItemReader::Plan {
    long revision;
    nb::object new_order;
    unsigned address_bits;
    std::size_t payload_size;
    // The pointers, and which of their bits have to be the same.
    std::vector<std::uint64_t> words;
    std::vector<std::uint64_t> masks;
    // In the order in which they get their values; the immediate ones as they were in the first heap.
    std::vector<Place> addressed;
    std::vector<Place> immediate;
    // The result, if the order is the same.
    nb::object by_name;

    bool fits(const Arrived &arrived, long of_revision, nb::handle order) const {
        if (of_revision != revision || arrived.pointers.size() != words.size() || arrived.size() != payload_size ||
            arrived.address_bits != address_bits || !(order.is(new_order) || new_order.equal(order)))
            return false;
        for (std::size_t i = 0; i < words.size(); i++)
            if (((arrived.pointers[i] ^ words[i]) & masks[i]) != 0) return false;
        return true;
    }

    // The result of an update; null if a value is wrong.
    nb::object apply(const Arrived &arrived) const {
        std::vector<nb::object> values;
        values.reserve(addressed.size() + immediate.size());
        const std::vector<const Place *> sorted = sort_immediate(arrived);
        try {
            for (const Place &place : addressed) values.push_back(decode(place, arrived));
            for (const Place *place : sorted) values.push_back(decode_immediate(*place, arrived));
        } catch (nb::python_error &exception) {
            if (!exception.matches(PyExc_ValueError)) throw;
            return {};
        }
        nb::object result = nb::steal(PyDict_Copy(by_name.ptr()));
        bool same_order = true;
        auto value = values.begin();
        for (const Place &place : addressed) set_value(place.item, std::move(*value++));
        for (std::size_t i = 0; i < sorted.size(); i++) {
            set_value(sorted[i]->item, std::move(*value++));
            same_order &= sorted[i] == &immediate[i];
        }
        return same_order ? result : in_order(sorted);
    }

private:
    // By value, and by place in the heap where the values are the same.
    std::vector<const Place *> sort_immediate(const Arrived &arrived) const {
        std::vector<const Place *> sorted;
        sorted.reserve(immediate.size());
        for (const Place &place : immediate) sorted.push_back(&place);
        const auto key = [&](const Place *place) {
            return std::pair(arrived.pointers[place->pointer] & address_mask(address_bits), place->pointer);
        };
        std::sort(sorted.begin(), sorted.end(), [&](const Place *a, const Place *b) { return key(a) < key(b); });
        return sorted;
    }

    nb::object decode(const Place &place, const Arrived &arrived) const {
        const ArrayForm &form = place.array;
        if (form.dtype.is_valid() && place.end - place.start >= form.size)
            return array_value(form, arrived.data() + place.start, PyArray_ISWRITEABLE(as_array(arrived.payload)), arrived.payload);
        return SPEAD_ATTRIBUTE(place.codec, "decode")(arrived.payload, place.start, place.end, new_order);
    }

    nb::object decode_immediate(const Place &place, const Arrived &arrived) const {
        const std::uint64_t value = arrived.pointers[place.pointer] & address_mask(address_bits);
        if (place.integer.bits != 0 && place.integer.bits <= address_bits) return place.integer.decode(value);
        const ArrayForm &form = place.array;
        if (form.dtype.is_valid() && form.shape.empty() && form.size <= address_bits / 8) {
            std::uint8_t bytes[word_size];
            store_word(bytes, value);
            return array_value(form, bytes + word_size - form.size, false, {});
        }
        return SPEAD_ATTRIBUTE(place.codec, "decode_immediate")(value, address_bits / 8, new_order);
    }

    nb::object in_order(const std::vector<const Place *> &sorted) const {
        nb::dict result;
        for (const Place &place : addressed) result[place.name] = place.item;
        for (const Place *place : sorted) result[place->name] = place->item;
        return result;
    }
};

nb::object ItemReader::update(nb::handle items, long revision, nb::handle heap, nb::handle new_order) {
    Arrived arrived;
    if (!take_apart(heap, arrived)) return nb::none();
    std::shared_ptr<const Plan> plan = plan_;
    if (!plan || !plan->fits(arrived, revision, new_order)) {
        plan = make_plan(arrived, items, revision, new_order);
        if (!plan) return nb::none();
        plan_ = plan;
    }
    nb::object updated = plan->apply(arrived);
    return updated.is_valid() ? updated : nb::none();
}

// Whether `heap` is a complete heap in ordinary memory.
bool ItemReader::take_apart(nb::handle heap, Arrived &arrived) {
    arrived.heap = heap;
    if (const auto pointers = pointers_of(heap)) {
        arrived.pointers = *pointers;
    } else if (PyObject_TypeCheck(heap.ptr(), item_classes.received_heap)) {
        arrived.owner = SPEAD_ATTRIBUTE(heap, "pointers");
        if (!is_vector(arrived.owner, NPY_UINT64)) return false;
        const PyArrayObject *array = as_array(arrived.owner);
        arrived.pointers = {static_cast<const std::uint64_t *>(PyArray_DATA(array)), static_cast<std::size_t>(PyArray_DIM(array, 0))};
    } else {
        return false;
    }
    arrived.payload = SPEAD_ATTRIBUTE(heap, "payload");
    if (!is_vector(arrived.payload, NPY_UINT8)) return false;
    nb::object flavour = SPEAD_ATTRIBUTE(heap, "flavour");
    if (!flavour.is(flavour_)) {
        address_bits_ = nb::cast<unsigned>(SPEAD_ATTRIBUTE(flavour, "heap_address_bits"));
        flavour_ = std::move(flavour);
    }
    arrived.address_bits = address_bits_;
    return true;
}

std::shared_ptr<const ItemReader::Plan> ItemReader::make_plan(const Arrived &arrived, nb::handle items, long revision,
                                                              nb::handle new_order) {
    const auto is_descriptor = [&](std::uint64_t word) { return word >> arrived.address_bits == descriptor_id; };
    if (!is_byte_order(new_order) || std::ranges::any_of(arrived.pointers, is_descriptor)) return nullptr;
    if (revision != std::exchange(unknown_revision_, revision)) unknown_.clear();
    nb::object located;
    try {
        located = SPEAD_ATTRIBUTE(arrived.heap, "locate_items")();
    } catch (nb::python_error &exception) {
        if (!exception.matches(PyExc_ValueError)) throw;
        return nullptr;
    }
    auto plan = std::make_shared<Plan>(Plan{.revision = revision, .new_order = nb::borrow(new_order),
                                            .address_bits = arrived.address_bits, .payload_size = arrived.size(),
                                            .words = {arrived.pointers.begin(), arrived.pointers.end()},
                                            .masks = {}, .addressed = {}, .immediate = {}, .by_name = nb::dict()});
    const std::uint64_t values = address_mask(arrived.address_bits);
    for (const std::uint64_t word : plan->words) plan->masks.push_back(word & immediate_flag ? ~values : ~std::uint64_t{0});

    bool all_known = true;
    const auto add = [&](std::vector<Place> &places, nb::object item, Place place) {
        place.codec = SPEAD_ATTRIBUTE(item, "codec");
        place.array = ArrayForm::of(place.codec, new_order);
        place.integer = IntegerForm::of(place.codec);
        place.name = SPEAD_ATTRIBUTE(item, "name");
        plan->by_name[place.name] = item;
        place.item = std::move(item);
        places.push_back(std::move(place));
    };
    for (const nb::handle found : nb::cast<nb::list>(located[0])) {
        nb::object item = find_item(items, found[0], all_known);
        if (!item.is_valid()) continue;
        if (Py_TYPE(item.ptr()) != item_classes.item) return nullptr;
        Place place;
        place.start = nb::cast<std::size_t>(found[1]);
        place.end = nb::cast<std::size_t>(found[2]);
        const bool needs_bytes = nb::cast<bool>(nb::bool_(SPEAD_ATTRIBUTE(SPEAD_ATTRIBUTE(item, "codec"), "nbytes")));
        if (place.start < place.end || !needs_bytes) add(plan->addressed, std::move(item), std::move(place));
    }
    for (const nb::handle found : nb::cast<nb::list>(located[1])) {
        nb::object item = find_item(items, found[0], all_known);
        if (!item.is_valid()) continue;
        if (Py_TYPE(item.ptr()) != item_classes.item) return nullptr;
        const auto wanted = immediate(nb::cast<std::uint64_t>(found[0]), arrived.address_bits);
        const auto is_its = [&](std::uint64_t word) { return (word & ~values) == wanted; };
        const auto first = std::find_if(plan->words.begin(), plan->words.end(), is_its);
        // Several values of one item: which of them counts is for Python to say.
        if (std::count_if(first, plan->words.end(), is_its) != 1) return nullptr;
        Place place;
        place.pointer = static_cast<std::size_t>(first - plan->words.begin());
        add(plan->immediate, std::move(item), std::move(place));
    }
    return all_known ? plan : nullptr;
}

// The item of that id; null if there is none, and it need not be known that there is none.
nb::object ItemReader::find_item(nb::handle items, nb::handle item_id, bool &all_known) {
    PyObject *item = PyDict_GetItemWithError(items.ptr(), item_id.ptr());
    if (item) return nb::borrow(item);
    if (PyErr_Occurred()) nb::raise_python_error();
    const auto number = nb::cast<std::uint64_t>(item_id);
    if (number > last_reserved_id && std::find(unknown_.begin(), unknown_.end(), number) == unknown_.end()) {
        all_known = false;
        unknown_.push_back(number);
    }
    return {};
}

}  // namespace spead::python
