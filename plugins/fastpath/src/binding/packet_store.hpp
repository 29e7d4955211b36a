// What a sender left in memory, as Python has it.
#pragma once

#include <memory>

#include "memory_sender.hpp"
#include "python_objects.hpp"

namespace spead::python {

class StoreHandle {
public:
    // Needs the GIL itself now and then: see the rule in sending.cpp.
    static constexpr bool python_inside = true;

    StoreHandle();

    const std::shared_ptr<MemorySender> &sender() const noexcept { return sender_; }
    // Everything that was sent so far. Throws MemoryError if that takes memory and there is none; what was sent is lost then.
    nb::bytes value() const;

private:
    class Block;

    Block *block_;
    std::shared_ptr<MemorySender> sender_;
};

}  // namespace spead::python
