// Where heaps go in chunks, and who says so.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decoded_packet.hpp"

namespace spead {

// A heap that needs a place: what is known of it, and what is to be filled in.
struct HeapToPlace {
    // Its first packet.
    const DecodedPacket *packet = nullptr;
    // Values of immediate items, -1 where there is none.
    const std::int64_t *items = nullptr;
    // A negative one drops the heap.
    std::int64_t chunk_id = -1;
    // Index in the chunk's `present`.
    std::int64_t heap_index = 0;
    // Where the heap starts in the chunk's `data`, in bytes.
    std::int64_t heap_offset = 0;
    // Bytes for the chunk's `extra`, where they go there, and how many of them.
    std::uint8_t *extra = nullptr;
    std::int64_t extra_offset = 0;
    std::int64_t extra_size = 0;
};

// Finds the places of heaps. What it says is not trusted.
class Placer {
public:
    virtual ~Placer() = default;
    // Whether it wants all heaps that start in a batch of packets at once, rather than one by one.
    virtual bool wants_batches() const noexcept { return false; }
    // Fill in the places of heaps. `batch_stats`: to be added to the stream's statistics, by index. Returns what went wrong, if
    // anything did: the heaps are then dropped.
    virtual std::string place(std::span<HeapToPlace> heaps, std::span<std::uint64_t> batch_stats) = 0;
};

// The record that compiled callbacks know as chunk_place_data.
struct ChunkPlaceData {
    const std::uint8_t *packet;
    std::size_t packet_size;
    const std::int64_t *items;
    std::int64_t chunk_id;
    std::size_t heap_index;
    std::size_t heap_offset;
    std::uint64_t *batch_stats;
    std::uint8_t *extra;
    std::size_t extra_offset;
    std::size_t extra_size;
};

// Calls compiled code for each heap.
class CompiledPlacer final : public Placer {
public:
    using Function = void (*)(void *, std::size_t);
    using FunctionWithUserData = void (*)(void *, std::size_t, void *);

    // `owner` keeps the function and its user data.
    CompiledPlacer(Function function, std::shared_ptr<void> owner) : function_(function), owner_(std::move(owner)) {}
    CompiledPlacer(FunctionWithUserData function, void *user_data, std::shared_ptr<void> owner)
        : with_user_data_(function), user_data_(user_data), owner_(std::move(owner)) {}

    std::string place(std::span<HeapToPlace> heaps, std::span<std::uint64_t> batch_stats) override;

private:
    const std::uint8_t *in_one_piece(const DecodedPacket &packet);

    const Function function_ = nullptr;
    const FunctionWithUserData with_user_data_ = nullptr;
    void *const user_data_ = nullptr;
    const std::shared_ptr<void> owner_;
    std::vector<std::uint8_t> packet_;
};

// Evaluates expressions: those of a ChunkLayout.
class LayoutPlacer final : public Placer {
public:
    enum class Operation : std::uint8_t {
        constant,
        // An item, by its index; chunk_id and heap_index have the two indices behind those.
        name,
        add,
        subtract,
        multiply,
        divide,
        modulo,
        shift_left,
        shift_right,
        bit_and,
        bit_or,
        bit_xor,
        negate,
        invert,
        equal,
        not_equal,
        less,
        less_equal,
        greater,
        greater_equal,
        // Of three values: the second if the first is not 0, else the third.
        choose,
    };
    // As engine.chunks.expression calls them, in the same order.
    static constexpr std::array<std::string_view, 21> operation_names = {
        "constant", "name",    "add",    "subtract", "multiply",  "divide", "modulo",     "shift_left", "shift_right",   "bit_and", "bit_or",
        "bit_xor",  "negate",  "invert", "equal",    "not_equal", "less",   "less_equal", "greater",    "greater_equal", "choose",
    };
    struct Instruction {
        Operation operation;
        std::int64_t argument;
    };
    // Instructions for a machine with a stack, on which the result is left.
    using Program = std::vector<Instruction>;

    // `required`: indices of items without which a heap is dropped. Throws std::invalid_argument for a program that uses a
    // value which is not there.
    LayoutPlacer(std::size_t num_items, std::vector<std::size_t> required, Program chunk_id, Program heap_index,
                 Program heap_offset);

    std::string place(std::span<HeapToPlace> heaps, std::span<std::uint64_t> batch_stats) override;

private:
    // A value, or none: a division by zero, say.
    struct Value {
        std::int64_t number;
        bool defined;
    };

    Value evaluate(const Program &program);
    static Value combine(Operation operation, Value a, Value b) noexcept;

    const std::size_t num_items_;
    const std::vector<std::size_t> required_;
    const Program chunk_id_;
    const Program heap_index_;
    const Program heap_offset_;
    // What names stand for.
    std::vector<std::int64_t> names_;
    std::vector<Value> stack_;
};

}  // namespace spead
