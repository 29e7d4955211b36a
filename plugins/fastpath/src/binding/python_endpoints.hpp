// Endpoints and allocators that are written in Python, driven natively: a batch crosses once.
#pragma once

#include <nanobind/nanobind.h>

#include <map>
#include <memory>
#include <string>

#include "conversion.hpp"
#include "endpoint.hpp"
#include "segment.hpp"

namespace spead::python {

namespace nb = nanobind;

class PythonSender final : public SenderBase {
public:
    // `sender`: a PacketSender.
    explicit PythonSender(nb::object sender);
    ~PythonSender() override;

protected:
    std::size_t try_send(const spead_batch &batch) override;
    int fileno() const noexcept override { return fd_; }
    void release() noexcept override;

private:
    nb::object sender_;
    nb::object writable_;
    int fd_;
};

class PythonReceiver final : public ReceiverBase {
public:
    // `receiver`: a PacketReceiver.
    explicit PythonReceiver(nb::object receiver);
    ~PythonReceiver() override;

protected:
    std::size_t try_recv(std::size_t limit, spead_batch &batch) override;
    int fileno() const noexcept override { return fd_; }
    void release_batch() noexcept override;
    std::uint64_t drops(std::size_t index, const char *&reason) const noexcept override;
    void release() noexcept override;

private:
    void count_drops() const noexcept;

    nb::object receiver_;
    nb::object readable_;
    int fd_;
    BatchView batch_;
    // As the receiver said last. Names stay where they are.
    mutable std::map<std::string, std::uint64_t> drops_;
};

// A MemoryAllocator.
class PythonAllocator final : public HeapAllocator {
public:
    // What becomes of a MemoryError: no memory is given, or OutOfMemory is thrown, which has the error's message.
    enum class Shortage { empty, thrown };

    explicit PythonAllocator(nb::object allocator, Shortage shortage = Shortage::empty)
        : allocator_(std::move(allocator)), shortage_(shortage) {}
    ~PythonAllocator() override;

    SegmentRef allocate(std::size_t size) override;

private:
    nb::object allocator_;
    const Shortage shortage_;
};

}  // namespace spead::python
