// Copying pieces of memory to one place, those that are neighbours in one go: the payload of a heap's packets is one array as
// often as not.
#pragma once

#include <cstddef>
#include <cstdint>

#include "copy.hpp"
#include "spead_transport.h"

namespace spead {

class Gatherer {
public:
    // Copies to `target`, one piece after the other; all is there when this object goes.
    explicit Gatherer(std::uint8_t *target) noexcept : target_(target) {}
    ~Gatherer() { flush(); }
    Gatherer(const Gatherer &) = delete;
    Gatherer &operator=(const Gatherer &) = delete;

    // Where the copy of `slice` will be.
    std::uint8_t *add(const spead_slice &slice) noexcept {
        const auto *data = static_cast<const std::uint8_t *>(slice.data);
        if (data != source_ + size_) {
            flush();
            source_ = data;
        }
        std::uint8_t *at = target_ + size_;
        size_ += slice.size;
        return at;
    }

private:
    void flush() noexcept {
        copy_bytes(target_, source_, size_, CopyMethod::standard);
        target_ += size_;
        size_ = 0;
    }

    std::uint8_t *target_;
    const std::uint8_t *source_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace spead
