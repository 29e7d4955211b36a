// Log messages about what arrives from the network: whoever sends must not be able to flood the log.
//
// Messages wait here until somebody who may call the log fetches them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "rejection.hpp"

namespace spead {

class Notices {
public:
    // Kinds of message: those of Rejection, and these.
    static constexpr std::size_t evicted = num_rejections;
    static constexpr std::size_t queue_full = num_rejections + 1;
    static constexpr std::size_t expired = num_rejections + 2;
    static constexpr std::size_t misplaced = num_rejections + 3;
    static constexpr std::size_t placement_failed = num_rejections + 4;
    static constexpr std::size_t pool_empty = num_rejections + 5;
    static constexpr std::size_t num_kinds = num_rejections + 6;

    // Whether a message of this kind is due at `now` (seconds of a monotonic clock); counts those that are not.
    bool due(std::size_t kind, double now) noexcept {
        Kind &state = kinds_[kind];
        if (now >= state.next) return true;
        state.held_back++;
        return false;
    }
    void add(std::size_t kind, double now, std::string message) {
        Kind &state = kinds_[kind];
        state.next = now + interval;
        if (state.held_back) message += " (" + std::to_string(state.held_back) + " more like this)";
        state.held_back = 0;
        waiting_.push_back(std::move(message));
    }
    bool empty() const noexcept { return waiting_.empty(); }
    std::vector<std::string> take() { return std::exchange(waiting_, {}); }

private:
    static constexpr double interval = 10.0;
    struct Kind {
        double next = 0.0;
        std::uint64_t held_back = 0;
    };
    std::array<Kind, num_kinds> kinds_;
    std::vector<std::string> waiting_;
};

}  // namespace spead
