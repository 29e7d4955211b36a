// Keeping a sender to its rate. Reads no clock: the time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace spead {

// How many bytes may go at once at `rate` bytes per second, at least 1, if `burst_size` is the most: rates are kept over much
// less than a second.
inline std::uint64_t burst_limit(std::uint64_t burst_size, double rate) noexcept {
    constexpr double longest_burst = 5e-3;  // seconds
    const double bytes = std::min(static_cast<double>(burst_size), rate * longest_burst);
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(bytes));
}

// Two clocks run: one at the wanted rate, which says where the stream should be by now, and one at the burst rate, which
// keeps a stream that fell behind from making up for it all at once. Time without anything to send is not owed.
//
// In any time, no more goes out than the burst rate allows in that and another millisecond, and one burst.
class Pacer {
public:
    // `burst_rate_ratio`: how much faster than its rate a stream may go to catch up.
    explicit Pacer(double burst_rate_ratio) noexcept : ratio_(burst_rate_ratio) {}

    // Something is to be sent again after there was nothing.
    void begin(double now) noexcept {
        // A program that sends heap after heap with blocking calls has nothing to send between two of them, but means to
        // keep the rate.
        if (now - last_sent_ <= pause) return;
        due_ = std::max(due_, now);
        burst_due_ = std::max(burst_due_, now);
    }
    // Seconds to wait before the next burst; 0 or less to send it now.
    double delay(double now) const noexcept { return std::max(due_, burst_due_) - now; }
    // So many bytes went out at `now`, at a wanted rate of `rate` bytes per second (0 is unlimited).
    void sent(double now, std::uint64_t bytes, double rate) noexcept {
        last_sent_ = now;
        if (rate <= 0) return;
        const double seconds = static_cast<double>(bytes) / rate;
        due_ += seconds;
        burst_due_ = std::max(burst_due_, now - waking_slack) + seconds / ratio_;
    }

private:
    // Seconds after which a stream that sent nothing had nothing to send.
    static constexpr double pause = 10e-3;
    // A sender that wakes up late by so many seconds is not behind: that is how precise a thread's waking is on a machine
    // that has other things to do.
    static constexpr double waking_slack = 1e-3;

    double ratio_;
    double due_ = 0.0;
    double burst_due_ = 0.0;
    double last_sent_ = -std::numeric_limits<double>::infinity();
};

}  // namespace spead
