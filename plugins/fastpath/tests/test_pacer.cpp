// The pacer, on a clock that only moves when somebody sleeps; its rules are tested with that of the Python engine.
#include <vector>

#include "check.hpp"
#include "pacer.hpp"

using namespace spead;

namespace {

struct Timeline {
    Pacer pacer;
    double late = 0.0;
    double now = 100.0;

    void send(std::uint64_t bytes, double rate) {
        if (const double delay = pacer.delay(now, bytes, rate); delay > 0) now += delay + late;
        pacer.sent(now, bytes, rate);
    }
};

}  // namespace

TEST(small_heaps_share_a_burst) {
    Timeline timeline{Pacer(1.05, 3000)};
    timeline.pacer.begin(timeline.now);
    std::vector<double> times;
    for (int i = 0; i < 9; i++) {
        timeline.send(1000, 1e6);
        times.push_back(timeline.now);
    }
    for (int i = 0; i < 9; i++) CHECK(times[i] == times[i / 3 * 3]);
    CHECK(times[3] > times[2]);
    CHECK(times[6] > times[5]);
}

TEST(threads_that_wake_up_late_do_not_lower_the_rate) {
    Timeline timeline{Pacer(1.05, 65536), 4.5e-3};
    timeline.pacer.begin(timeline.now);
    for (int i = 0; i < 2000; i++) timeline.send(65536, 125e6);
    const double rate = 1999 * 65536 / (timeline.now - 100.0);
    CHECK(rate > 0.99 * 125e6 && rate < 1.01 * 125e6);
}
