#include "packet_store.hpp"

#include <cstring>
#include <new>

namespace spead::python {

// A bytes object that becomes what the user gets, so that packets are copied once. It is nobody else's as long as it is
// written to.
class StoreHandle::Block final : public MemorySender::Memory {
public:
    ~Block() override { MaybeAcquire().drop(bytes_); }

    std::uint8_t *grow(std::size_t kept, std::size_t capacity) override {
        const MaybeAcquire gil;
        if (!gil) throw std::bad_alloc();
        nb::object larger = nb::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(capacity)));
        if (!larger.is_valid()) {
            PyErr_Clear();
            throw std::bad_alloc();
        }
        auto *data = reinterpret_cast<std::uint8_t *>(PyBytes_AS_STRING(larger.ptr()));
        prepare({data, capacity});
        if (kept > 0) {
            const MaybeRelease released;
            std::memcpy(data, PyBytes_AS_STRING(bytes_.ptr()), kept);
        }
        bytes_ = std::move(larger);
        return data;
    }

    // The object, cut to `size` bytes. With the GIL; null with a Python error, and without the object, if there is no memory.
    PyObject *take(std::size_t size) {
        if (!bytes_.is_valid()) return PyBytes_FromStringAndSize(nullptr, 0);
        const auto wanted = static_cast<Py_ssize_t>(size);
        // Once it was given away it has the size that it was given away with.
        if (PyBytes_GET_SIZE(bytes_.ptr()) != wanted) {
            PyObject *bytes = bytes_.release().ptr();
            if (_PyBytes_Resize(&bytes, wanted) < 0) return nullptr;
            bytes_ = nb::steal(bytes);
        }
        return Py_NewRef(bytes_.ptr());
    }

private:
    nb::object bytes_;
};

StoreHandle::StoreHandle() {
    auto block = std::make_unique<Block>();
    block_ = block.get();
    sender_ = std::make_shared<MemorySender>(std::move(block));
}

nb::bytes StoreHandle::value() const {
    PyObject *value = nullptr;
    {
        const MaybeRelease released;
        value = sender_->taken([this](std::size_t size) {
            const nb::gil_scoped_acquire gil;
            return block_->take(size);
        });
    }
    if (!value) nb::raise_python_error();
    return nb::steal<nb::bytes>(value);
}

}  // namespace spead::python
