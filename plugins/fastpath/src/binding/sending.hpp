// Sending through a runner, as Python has it.
//
// Who may hold the GIL while he waits for a runner's lock? Only who uses a runner whose endpoints and allocator are native:
// then nobody inside wants the GIL. Otherwise it is released for every call (`python_inside`).
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "handles.hpp"
#include "numbered_heaps.hpp"

namespace spead::python {

// GroupMode of Python.
GroupMode mode_from(nb::handle mode);

// A group that nobody waits for in the call. It keeps the Python objects whose memory is sent.
class Submission : public SendGroup {
public:
    Submission(NumberedHeaps heaps, GroupMode mode, nb::object kept)
        : SendGroup(std::move(heaps.heaps), mode), kept_(std::move(kept)) {}
    virtual ~Submission() = default;

    // It is finished, and lets go of everything. Called once at most, with the GIL; `error` is None or an exception.
    virtual void finished(nb::object error) = 0;

protected:
    nb::object kept_;
};

class PySendRunner {
public:
    PySendRunner(const SenderHandle &sender, const SendConfig &config, nb::object sequence, std::size_t num_substreams,
                 bool keeps_rate);
    ~PySendRunner();
    PySendRunner(const PySendRunner &) = delete;
    PySendRunner &operator=(const PySendRunner &) = delete;

    const HeapNumbering &numbering() const noexcept { return numbering_; }
    std::uint64_t send(nb::handle heaps, nb::handle mode, std::optional<double> timeout);
    std::uint64_t send_one(nb::handle heap, nb::handle cnt, nb::handle substream_index, nb::handle rate, std::optional<double> timeout);
    // As SendRunner::submit; `payload_size` is the group's, in bytes.
    bool submit(const std::shared_ptr<Submission> &submission, std::uint64_t payload_size);
    void drive_with(const WorkerHandle &worker, nb::object keep);
    void flush(std::optional<double> timeout);
    void close();
    nb::tuple statistics() const;

private:
    std::uint64_t send(NumberedHeaps heaps, GroupMode mode, std::optional<double> timeout);
    bool releases(std::uint64_t payload_size) const noexcept;

    const std::string url_;
    const bool python_inside_;
    const HeapNumbering numbering_;
    std::shared_ptr<SendRunner> runner_;
};

}  // namespace spead::python
