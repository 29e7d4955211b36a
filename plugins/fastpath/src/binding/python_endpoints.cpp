#include "python_endpoints.hpp"

#include <iterator>
#include <stdexcept>
#include <string>

#include "block_pool.hpp"
#include "python_objects.hpp"

namespace spead::python {

namespace {

void close(nb::handle endpoint) noexcept {
    const MaybeAcquire gil;
    if (!gil) return;
    try {
        endpoint.attr("close")();
    } catch (nb::python_error &exception) {
        exception.discard_as_unraisable(endpoint);
    }
}

int fileno_of(nb::handle readiness) { return nb::cast<int>(readiness.attr("fileno")()); }

}  // namespace

PythonSender::PythonSender(nb::object sender)
    : SenderBase(nb::cast<std::size_t>(sender.attr("num_destinations"))),
      sender_(std::move(sender)),
      writable_(sender_.attr("writable")),
      fd_(fileno_of(writable_)) {}

PythonSender::~PythonSender() { MaybeAcquire().drop(sender_, writable_); }

std::size_t PythonSender::try_send(const spead_batch &batch) {
    const nb::gil_scoped_acquire gil;
    try {
        SPEAD_ATTRIBUTE(writable_, "acknowledge")();
        return nb::cast<std::size_t>(SPEAD_ATTRIBUTE(sender_, "try_send")(batch_to_python(batch)));
    } catch (nb::python_error &exception) {
        throw TransportException(error_from(exception));
    }
}

void PythonSender::release() noexcept { close(sender_); }

PythonReceiver::PythonReceiver(nb::object receiver)
    : receiver_(std::move(receiver)), readable_(receiver_.attr("readable")), fd_(fileno_of(readable_)) {}

PythonReceiver::~PythonReceiver() {
    const MaybeAcquire gil;
    gil.drop(receiver_, readable_, batch_);
}

std::size_t PythonReceiver::try_recv(std::size_t limit, spead_batch &batch) {
    const nb::gil_scoped_acquire gil;
    try {
        batch_ = {};
        SPEAD_ATTRIBUTE(readable_, "acknowledge")();
        batch_ = BatchView(SPEAD_ATTRIBUTE(receiver_, "try_recv")(limit));
    } catch (nb::python_error &exception) {
        throw TransportException(error_from(exception));
    } catch (const std::invalid_argument &exception) {
        fail(ErrorKind::broken, 0, exception.what());
    }
    batch = batch_.view();
    return batch.num_packets;
}

void PythonReceiver::release_batch() noexcept {
    const MaybeAcquire gil;
    if (!gil) return;
    batch_ = {};
    try {
        SPEAD_ATTRIBUTE(receiver_, "release")();
    } catch (nb::python_error &exception) {
        exception.discard_as_unraisable(receiver_);
    }
}

std::uint64_t PythonReceiver::drops(std::size_t index, const char *&reason) const noexcept {
    if (index == 0) count_drops();
    reason = nullptr;
    if (index >= drops_.size()) return 0;
    const auto at = std::next(drops_.begin(), static_cast<std::ptrdiff_t>(index));
    reason = at->first.c_str();
    return at->second;
}

void PythonReceiver::count_drops() const noexcept {
    const MaybeAcquire gil;
    if (!gil) return;
    try {
        for (const auto &[reason, count] : nb::cast<nb::dict>(receiver_.attr("drops")()))
            drops_[nb::cast<std::string>(reason)] = nb::cast<std::uint64_t>(count);
    } catch (nb::python_error &exception) {
        exception.discard_as_unraisable(receiver_);
    } catch (const std::exception &exception) {
        write_log(true, std::string("drops() of a receiver gives no numbers by name: ") + exception.what());
    }
}

void PythonReceiver::release() noexcept { close(receiver_); }

PythonAllocator::~PythonAllocator() { MaybeAcquire().drop(allocator_); }

SegmentRef PythonAllocator::allocate(std::size_t size) {
    const nb::gil_scoped_acquire gil;
    try {
        nb::object array = Names::get().obtain(allocator_, size);
        const spead_slice memory = memory_of(array, true);
        return segment_of(std::move(array), static_cast<std::uint8_t *>(const_cast<void *>(memory.data)), size);
    } catch (nb::python_error &exception) {
        if (exception.matches(PyExc_MemoryError)) {
            if (shortage_ == Shortage::empty) return {};
            throw OutOfMemory(nb::cast<std::string>(nb::str(exception.value())));
        }
        throw TransportException(error_from(exception));
    }
}

}  // namespace spead::python
