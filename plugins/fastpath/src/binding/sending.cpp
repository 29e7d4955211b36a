// Sending: encoder and runner.
//
// Who may hold the GIL while he waits for a runner's lock? Only who uses a runner whose endpoints and allocator are native:
// then nobody inside wants the GIL. Otherwise it is released for every call (`python_inside`).
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "conversion.hpp"
#include "handles.hpp"
#include "numbered_heaps.hpp"

namespace spead::python {

namespace {

using nb::arg;

// Heaps of up to this many bytes are sent with the GIL held: getting it back would take longer.
constexpr std::uint64_t quick_bytes = 1 << 16;

// What a submitted group keeps until it is finished. Used with the GIL.
struct Submission {
    nb::object kept;
    nb::object completion;
    nb::object token;
};

GroupMode mode_of(bool serial) { return serial ? GroupMode::serial : GroupMode::round_robin; }

class PySendRunner {
public:
    PySendRunner(const SenderHandle &sender, const SendConfig &config)
        : url_(sender.url),
          python_inside_(sender.python_inside),
          runner_(std::make_shared<SendRunner>(
              sender.sender, config,
              SendRunner::Callbacks{[url = sender.url](SendGroups groups) { complete(std::move(groups), url); },
                                    [](const std::vector<std::string> &messages) {
                                        for (const std::string &message : messages) write_log(false, message);
                                    }})) {}
    ~PySendRunner() {
        const MaybeRelease released;
        runner_.reset();
    }
    PySendRunner(const PySendRunner &) = delete;
    PySendRunner &operator=(const PySendRunner &) = delete;

    std::uint64_t send(NumberedHeaps &heaps, bool serial, std::optional<double> timeout) {
        auto group = std::make_shared<SendGroup>(heaps.take(), mode_of(serial), nullptr);
        const double deadline = deadline_after(timeout);
        const bool release = releases(heaps);
        {
            const MaybeRelease released(release);
            runner_->enqueue(group);
        }
        try {
            for (;;) {
                Waited waited;
                {
                    const MaybeRelease released(release);
                    waited = runner_->drive_now(*group) ? Waited::ready : Waited::timed_out;
                }
                if (waited != Waited::ready) {
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

    bool submit(NumberedHeaps &heaps, bool serial, nb::object completion, nb::object token) {
        auto submission = std::make_unique<Submission>(heaps.references(), std::move(completion), std::move(token));
        std::shared_ptr<void> owner(submission.release(), [](void *raw) {
            const std::unique_ptr<Submission> submission(static_cast<Submission *>(raw));
            const MaybeAcquire gil;
            gil.drop(submission->kept, submission->completion, submission->token);
        });
        auto group = std::make_shared<SendGroup>(heaps.take(), mode_of(serial), std::move(owner));
        const MaybeRelease released(releases(heaps));
        return runner_->submit(group);
    }

    void drive_with(const WorkerHandle &worker, nb::object keep) {
        std::shared_ptr<void> kept = keep_alive(std::move(keep));
        const MaybeRelease released;
        runner_->drive_with(worker.worker, std::move(kept));
    }

    void flush(std::optional<double> timeout) {
        const double deadline = deadline_after(timeout);
        for (;;) {
            Waited waited;
            std::size_t waiting;
            {
                const MaybeRelease released;
                waited = runner_->flush(time_left(deadline));
                waiting = runner_->heaps_waiting();
            }
            if (waited == Waited::ready) return;
            check_signals();
            if (waited == Waited::timed_out)
                raise({ErrorKind::timed_out, 0, std::to_string(waiting) + " heaps were still waiting in the end"}, url_);
        }
    }

    void close() {
        const MaybeRelease released;
        runner_->close();
    }

private:
    // Whether sending may take long enough, or needs Python code, so that the GIL is better released.
    bool releases(const NumberedHeaps &heaps) const noexcept { return python_inside_ || heaps.payload_size() > quick_bytes; }

    static void complete(SendGroups groups, const std::string &url) noexcept {
        const MaybeAcquire gil;
        if (!gil) return;
        for (const auto &group : groups) {
            auto &submission = *static_cast<Submission *>(group->owner().get());
            try {
                submission.completion(submission.token, group->bytes(), group->error() ? make_exception(*group->error(), url) : nb::none());
            } catch (nb::python_error &exception) {
                exception.discard_as_unraisable(submission.completion);
            }
        }
        groups.clear();
    }

    const std::string url_;
    const bool python_inside_;
    std::shared_ptr<SendRunner> runner_;
};

}  // namespace

void bind_sending(nb::module_ &m) {
    define_numbered_heaps(m);
    nb::class_<SendConfig>(m, "SendConfig")
        .def("__init__", [](SendConfig *self, std::size_t max_packet_size, double rate, std::size_t burst_size, std::size_t max_heaps,
                            double burst_rate_ratio, std::size_t largest_batch) {
            ::new (self) SendConfig{{max_packet_size, rate, burst_size, largest_batch}, max_heaps, burst_rate_ratio};
        }, nb::kw_only(), arg("max_packet_size"), arg("rate"), arg("burst_size"), arg("max_heaps"), arg("burst_rate_ratio"),
           arg("largest_batch"));
    m.def("encode", [](nb::handle heaps, bool serial, const SendConfig &config) {
        const std::vector<OutgoingHeap> outgoing = outgoing_heaps(heaps);
        GroupEncoder encoder(outgoing, mode_of(serial), config.encoder);
        OutgoingBatch batch;
        nb::list result;
        while (encoder.next(batch)) result.append(nb::make_tuple(batch_to_python(batch.view()), batch.rate()));
        return result;
    }, arg("heaps"), arg("serial"), arg("config"));
    nb::class_<PySendRunner>(m, "SendRunner")
        .def(nb::init<const SenderHandle &, const SendConfig &>(), arg("sender"), arg("config"))
        .def("send", &PySendRunner::send, arg("heaps"), arg("serial"), arg("timeout").none())
        .def("submit", &PySendRunner::submit, arg("heaps"), arg("serial"), arg("completion"), arg("token"))
        .def("drive_with", &PySendRunner::drive_with, arg("worker"), arg("keep"))
        .def("flush", &PySendRunner::flush, arg("timeout").none())
        .def("close", &PySendRunner::close);
}

}  // namespace spead::python
