// Sending: encoder and runner.
#include "sending.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <utility>

#include "conversion.hpp"
#include "send_futures.hpp"

namespace spead::python {

namespace {

using nb::arg;

// Heaps of up to this many bytes are sent with the GIL held: getting it back would take longer.
constexpr std::uint64_t quick_bytes = 1 << 16;

void tell_finished(SendGroups groups, const std::string &url) noexcept {
    const MaybeAcquire gil;
    if (!gil) return;
    for (const auto &group : groups) {
        auto &submission = static_cast<Submission &>(*group);
        try {
            submission.finished(group->error() ? make_exception(*group->error(), url) : nb::none());
        } catch (nb::python_error &exception) {
            exception.discard_as_unraisable("the end of sending a heap");
        }
    }
    groups.clear();
}

void write_warnings(const std::vector<std::string> &messages) {
    for (const std::string &message : messages) write_log(false, message);
}

}  // namespace

GroupMode mode_from(nb::handle mode) { return mode.is(Names::get().serial) ? GroupMode::serial : GroupMode::round_robin; }

PySendRunner::PySendRunner(const SenderHandle &sender, const SendConfig &config, nb::object sequence, std::size_t num_substreams,
                           bool keeps_rate)
    : url_(sender.url),
      python_inside_(sender.python_inside),
      numbering_(std::move(sequence), num_substreams, keeps_rate),
      runner_(std::make_shared<SendRunner>(
          sender.sender, config,
          SendRunner::Callbacks{[url = sender.url](SendGroups groups) { tell_finished(std::move(groups), url); }, write_warnings})) {}

PySendRunner::~PySendRunner() {
    const MaybeRelease released;
    runner_.reset();
}

std::uint64_t PySendRunner::send(nb::handle heaps, nb::handle mode, std::optional<double> timeout) {
    return send(numbering_.group(heaps), mode_from(mode), timeout);
}

std::uint64_t PySendRunner::send_one(nb::handle heap, nb::handle cnt, nb::handle substream_index, nb::handle rate,
                                     std::optional<double> timeout) {
    return send(numbering_.one(heap, cnt, substream_index, rate), GroupMode::serial, timeout);
}

std::uint64_t PySendRunner::send(NumberedHeaps heaps, GroupMode mode, std::optional<double> timeout) {
    const auto group = std::make_shared<SendGroup>(std::move(heaps.heaps), mode);
    const double deadline = deadline_after(timeout);
    bool done;
    {
        const MaybeRelease released(releases(heaps.payload_size));
        done = runner_->begin(group);
    }
    try {
        while (!done) {
            Waited waited;
            {
                const MaybeRelease released;
                waited = runner_->drive(*group, deadline);
            }
            if (waited == Waited::ready) break;
            check_signals();
            if (waited == Waited::timed_out)
                raise({ErrorKind::timed_out, 0, "the heap could not be sent in time; part of it may have been sent"}, url_);
        }
    } catch (...) {
        const MaybeRelease released;
        runner_->abandon(group);
        throw;
    }
    if (group->error()) raise(*group->error(), url_);
    return group->bytes();
}

bool PySendRunner::submit(const std::shared_ptr<Submission> &submission, std::uint64_t payload_size) {
    const MaybeRelease released(releases(payload_size));
    return runner_->submit(submission);
}

void PySendRunner::drive_with(const WorkerHandle &worker, nb::object keep) {
    std::shared_ptr<void> kept = keep_alive(std::move(keep));
    const MaybeRelease released;
    runner_->drive_with(worker.worker, std::move(kept));
}

void PySendRunner::flush(std::optional<double> timeout) {
    const double deadline = deadline_after(timeout);
    for (;;) {
        Waited waited;
        std::uint64_t waiting;
        {
            const MaybeRelease released;
            waited = runner_->flush(time_left(deadline));
            waiting = runner_->statistics().heaps_waiting;
        }
        if (waited == Waited::ready) return;
        check_signals();
        if (waited == Waited::timed_out)
            raise({ErrorKind::timed_out, 0, std::to_string(waiting) + " heaps were still waiting in the end"}, url_);
    }
}

void PySendRunner::close() {
    const MaybeRelease released;
    runner_->close();
}

nb::tuple PySendRunner::statistics() const {
    SendStatistics s;
    {
        const MaybeRelease released;
        s = runner_->statistics();
    }
    return nb::make_tuple(s.heaps_sent, s.bytes_sent, s.heaps_failed, s.heaps_refused, s.heaps_waiting, s.peak_waiting);
}

// Whether sending may take long enough, or needs Python code, so that the GIL is better released.
bool PySendRunner::releases(std::uint64_t payload_size) const noexcept { return python_inside_ || payload_size > quick_bytes; }

void bind_sending(nb::module_ &m) {
    define_numbered_heaps(m);
    nb::class_<SendConfig>(m, "SendConfig")
        .def("__init__", [](SendConfig *self, std::size_t max_packet_size, double rate, std::size_t burst_size, std::size_t max_heaps,
                            double burst_rate_ratio, std::size_t largest_batch) {
            ::new (self) SendConfig{{max_packet_size, rate, burst_size, largest_batch}, max_heaps, burst_rate_ratio};
        }, nb::kw_only(), arg("max_packet_size"), arg("rate"), arg("burst_size"), arg("max_heaps"), arg("burst_rate_ratio"),
           arg("largest_batch"));
    m.def("encode", [](nb::handle heaps, nb::handle mode, const SendConfig &config) {
        const std::vector<OutgoingHeap> outgoing = outgoing_heaps(heaps);
        GroupEncoder encoder(outgoing, mode_from(mode), config.encoder);
        OutgoingBatch batch;
        nb::list result;
        while (encoder.next(batch)) result.append(nb::make_tuple(batch_to_python(batch.view()), batch.rate()));
        return result;
    }, arg("heaps"), arg("mode"), arg("config"));
    nb::class_<PySendRunner>(m, "SendRunner")
        .def(nb::init<const SenderHandle &, const SendConfig &, nb::object, std::size_t, bool>(), arg("sender"), arg("config"),
             arg("sequence"), arg("num_substreams"), arg("keeps_rate"))
        .def("send", nb::overload_cast<nb::handle, nb::handle, std::optional<double>>(&PySendRunner::send), arg("heaps"), arg("mode"),
             arg("timeout").none())
        .def("send_one", &PySendRunner::send_one, arg("heap"), arg("cnt"), arg("substream_index"), arg("rate"), arg("timeout").none())
        .def("drive_with", &PySendRunner::drive_with, arg("worker"), arg("keep"))
        .def("flush", &PySendRunner::flush, arg("timeout").none())
        .def("close", &PySendRunner::close)
        .def("statistics", &PySendRunner::statistics);
    bind_send_futures(m);
}

}  // namespace spead::python
