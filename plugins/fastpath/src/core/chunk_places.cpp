#include "chunk_places.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace spead {

namespace {

// A size as a callback gave it; -1, which is out of any bounds, for one that is too large.
std::int64_t as_signed(std::size_t value) noexcept {
    return value <= static_cast<std::size_t>(INT64_MAX) ? static_cast<std::int64_t>(value) : -1;
}

using Operation = LayoutPlacer::Operation;

// How many values an operation takes from the stack; it leaves one there.
constexpr std::size_t operands(Operation operation) {
    switch (operation) {
        case Operation::constant:
        case Operation::name: return 0;
        case Operation::negate:
        case Operation::invert: return 1;
        case Operation::choose: return 3;
        default: return 2;
    }
}

// How deep the stack gets.
std::size_t depth_of(const LayoutPlacer::Program &program, std::size_t num_names) {
    std::size_t depth = 0;
    std::size_t deepest = 0;
    for (const auto &[operation, argument] : program) {
        if (operands(operation) > depth || (operation == Operation::name && static_cast<std::uint64_t>(argument) >= num_names))
            throw std::invalid_argument("the program of an expression uses a value that is not there");
        depth += 1 - operands(operation);
        deepest = std::max(deepest, depth);
    }
    if (depth != 1) throw std::invalid_argument("the program of an expression must leave one value");
    return deepest;
}

// Arithmetic that wraps around, as NumPy's does.
constexpr std::uint64_t bits(std::int64_t value) { return static_cast<std::uint64_t>(value); }
constexpr std::int64_t wrap(std::uint64_t value) { return static_cast<std::int64_t>(value); }

// Division that rounds down; `b` is not 0.
constexpr std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
    if (b == -1) return wrap(-bits(a));
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
constexpr std::int64_t floor_modulo(std::int64_t a, std::int64_t b) {
    if (b == -1) return 0;
    const std::int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

}  // namespace

std::string CompiledPlacer::place(std::span<HeapToPlace> heaps, std::span<std::uint64_t> batch_stats) {
    for (HeapToPlace &heap : heaps) {
        ChunkPlaceData data{in_one_piece(*heap.packet),
                            heap.packet->size(),
                            heap.items,
                            -1,
                            0,
                            0,
                            batch_stats.data(),
                            heap.extra,
                            0,
                            0};
        if (function_)
            function_(&data, sizeof data);
        else
            with_user_data_(&data, sizeof data, user_data_);
        heap.chunk_id = data.chunk_id;
        heap.heap_index = as_signed(data.heap_index);
        heap.heap_offset = as_signed(data.heap_offset);
        heap.extra_offset = as_signed(data.extra_offset);
        heap.extra_size = as_signed(data.extra_size);
    }
    return {};
}

const std::uint8_t *CompiledPlacer::in_one_piece(const DecodedPacket &packet) {
    if (packet.num_slices == 1) return static_cast<const std::uint8_t *>(packet.slices[0].data);
    packet_.clear();
    for (std::size_t i = 0; i < packet.num_slices; i++) {
        const auto *data = static_cast<const std::uint8_t *>(packet.slices[i].data);
        packet_.insert(packet_.end(), data, data + packet.slices[i].size);
    }
    return packet_.data();
}

LayoutPlacer::LayoutPlacer(std::size_t num_items, std::vector<std::size_t> required, Program chunk_id, Program heap_index,
                           Program heap_offset)
    : num_items_(num_items),
      required_(std::move(required)),
      chunk_id_(std::move(chunk_id)),
      heap_index_(std::move(heap_index)),
      heap_offset_(std::move(heap_offset)),
      names_(num_items + 2) {
    for (const std::size_t item : required_)
        if (item >= num_items_) throw std::invalid_argument("a layout requires an item that it does not have");
    stack_.resize(std::max({depth_of(chunk_id_, num_items_), depth_of(heap_index_, num_items_ + 1),
                            depth_of(heap_offset_, num_items_ + 2)}));
}

std::string LayoutPlacer::place(std::span<HeapToPlace> heaps, std::span<std::uint64_t>) {
    for (HeapToPlace &heap : heaps) {
        std::copy_n(heap.items, num_items_, names_.begin());
        bool defined = true;
        for (const std::size_t item : required_) defined &= names_[item] >= 0;
        const auto result = [&](const Program &program) {
            const Value value = evaluate(program);
            defined &= value.defined;
            return value.number;
        };
        const std::int64_t chunk_id = names_[num_items_] = result(chunk_id_);
        heap.heap_index = names_[num_items_ + 1] = result(heap_index_);
        heap.heap_offset = result(heap_offset_);
        heap.chunk_id = defined ? chunk_id : -1;
    }
    return {};
}

LayoutPlacer::Value LayoutPlacer::evaluate(const Program &program) {
    Value *top = stack_.data() - 1;
    for (const auto &[operation, argument] : program) {
        switch (operation) {
            case Operation::constant: *++top = {argument, true}; break;
            case Operation::name: *++top = {names_[static_cast<std::size_t>(argument)], true}; break;
            case Operation::negate: top->number = wrap(-bits(top->number)); break;
            case Operation::invert: top->number = ~top->number; break;
            case Operation::choose: {
                top -= 2;
                const Value chosen = top[0].number != 0 ? top[1] : top[2];
                *top = {chosen.number, top->defined && chosen.defined};
                break;
            }
            default: {
                top--;
                *top = combine(operation, top[0], top[1]);
            }
        }
    }
    return *top;
}

LayoutPlacer::Value LayoutPlacer::combine(Operation operation, Value a, Value b) noexcept {
    const auto value = [&](std::int64_t number) { return Value{number, a.defined && b.defined}; };
    const std::int64_t x = a.number;
    const std::int64_t y = b.number;
    switch (operation) {
        case Operation::add: return value(wrap(bits(x) + bits(y)));
        case Operation::subtract: return value(wrap(bits(x) - bits(y)));
        case Operation::multiply: return value(wrap(bits(x) * bits(y)));
        case Operation::divide: return y == 0 ? Value{x, false} : value(floor_divide(x, y));
        case Operation::modulo: return y == 0 ? Value{0, false} : value(floor_modulo(x, y));
        case Operation::shift_left: return y < 0 || y > 63 ? Value{x, false} : value(wrap(bits(x) << y));
        case Operation::shift_right: return y < 0 || y > 63 ? Value{x, false} : value(x >> y);
        case Operation::bit_and: return value(x & y);
        case Operation::bit_or: return value(x | y);
        case Operation::bit_xor: return value(x ^ y);
        case Operation::equal: return value(x == y);
        case Operation::not_equal: return value(x != y);
        case Operation::less: return value(x < y);
        case Operation::less_equal: return value(x <= y);
        case Operation::greater: return value(x > y);
        default: return value(x >= y);
    }
}

}  // namespace spead
