// Keeping a sender to its rate. Reads no clock: the time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace spead {

// Seconds over which rates are kept. No burst stands for more, and a sender that wakes up late by no more than that is not
// behind: so late do threads wake up on a machine that has other things to do.
inline constexpr double longest_burst = 5e-3;

// How many bytes may go at once at `rate` bytes per second, at least 1, if `burst_size` is the most.
inline std::uint64_t burst_limit(std::uint64_t burst_size, double rate) noexcept {
    const double bytes = std::min(static_cast<double>(burst_size), rate * longest_burst);
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(bytes));
}

// Two clocks run: one at the wanted rate, which says where the stream should be by now, and one at the burst rate, which
// keeps a stream that fell behind from making up for it all at once. Time without anything to send is not owed. A stream
// may be ahead of its clocks by a burst, so that many small heaps take one wait.
//
// In any time, no more goes out than the burst rate allows in that and another 5 milliseconds, and one burst.
class Pacer {
public:
    // `burst_rate_ratio`: how much faster than its rate a stream may go to catch up. `burst_size`: how many bytes may go at
    // once, less at low rates (burst_limit). What is more than that by itself goes alone.
    Pacer(double burst_rate_ratio, std::uint64_t burst_size) noexcept : ratio_(burst_rate_ratio), burst_size_(burst_size) {}

    // Something is to be sent again after there was nothing.
    void begin(double now) noexcept {
        // A program that sends heap after heap with blocking calls has nothing to send between two of them, but means to
        // keep the rate.
        if (now - last_sent_ <= pause) return;
        due_ = std::max(due_, now);
        burst_due_ = std::max(burst_due_, now);
    }
    // Seconds to wait before so many more bytes may go at `rate`; 0 or less to send them now.
    double delay(double now, std::uint64_t bytes, double rate) const noexcept {
        return fits(bytes, rate) ? 0.0 : std::max(due_, burst_due_) - now;
    }
    // So many bytes went out at `now`, at a wanted rate of `rate` bytes per second (0 is unlimited).
    void sent(double now, std::uint64_t bytes, double rate) noexcept {
        last_sent_ = now;
        if (rate <= 0) return;
        burst_ = fits(bytes, rate) ? burst_ + bytes : bytes;  // the others were waited for
        const double seconds = static_cast<double>(bytes) / rate;
        due_ += seconds;
        burst_due_ = std::max(burst_due_, now - longest_burst) + seconds / ratio_;
    }

private:
    // Whether so many bytes may go with those that went since the clocks were last waited for.
    bool fits(std::uint64_t bytes, double rate) const noexcept { return burst_ + bytes <= burst_limit(burst_size_, rate); }

    // Seconds after which a stream that sent nothing had nothing to send.
    static constexpr double pause = 10e-3;

    double ratio_;
    std::uint64_t burst_size_;
    double due_ = 0.0;
    double burst_due_ = 0.0;
    double last_sent_ = -std::numeric_limits<double>::infinity();
    // Bytes that went since the clocks were last waited for.
    std::uint64_t burst_ = 0;
};

}  // namespace spead
