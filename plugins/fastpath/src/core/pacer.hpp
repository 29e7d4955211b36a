// Keeping a sender to its rate. Reads no clock: the time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>

namespace spead {

// Two clocks run: one at the wanted rate, which says where the stream should be by now, and one at the burst rate, which
// keeps a stream that fell behind from making up for it all at once. Time without anything to send is not owed.
class Pacer {
public:
    // `burst_rate_ratio`: how much faster than its rate a stream may go to catch up.
    explicit Pacer(double burst_rate_ratio) noexcept : ratio_(burst_rate_ratio) {}

    // Something is to be sent again after there was nothing.
    void begin(double now) noexcept {
        due_ = std::max(due_, now);
        burst_due_ = std::max(burst_due_, now);
    }
    // Seconds to wait before the next burst; 0 or less to send it now.
    double delay(double now) const noexcept { return std::max(due_, burst_due_) - now; }
    // So many bytes went out at `now`, at a wanted rate of `rate` bytes per second (0 is unlimited).
    void sent(double now, std::uint64_t bytes, double rate) noexcept {
        if (rate <= 0) return;
        const double seconds = static_cast<double>(bytes) / rate;
        due_ += seconds;
        burst_due_ = std::max(burst_due_, now) + seconds / ratio_;
    }

private:
    double ratio_;
    double due_ = 0.0;
    double burst_due_ = 0.0;
};

}  // namespace spead
