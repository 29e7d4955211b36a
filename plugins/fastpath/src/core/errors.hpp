// What can go wrong, other than bad arguments (std::invalid_argument): the errors of spead_transport.errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "spead_transport.h"

namespace spead {

enum class ErrorKind : std::uint8_t {
    end_of_stream,
    closed,
    broken,
    busy,
    refused,
    // Of runners, not of transports.
    queue_full,
    timed_out,
    invalid_argument,
};

struct Error {
    ErrorKind kind;
    // The operating system's error number, or 0.
    int error_number = 0;
    std::string message;
    // What else the transport wants to tell whoever reports the error to the user: an exception of another language, say.
    std::shared_ptr<void> cause = nullptr;

    // What the transport can still do after it.
    bool is_fatal() const noexcept { return kind == ErrorKind::closed || kind == ErrorKind::broken; }
};

class TransportException : public std::runtime_error {
public:
    explicit TransportException(Error error) : std::runtime_error(error.message), error(std::move(error)) {}
    Error error;
};

// What begins the second line of a message: what to do about it.
inline constexpr std::string_view hint_mark = "\nhint: ";

inline std::string with_hint(std::string message, std::string_view hint) {
    return hint.empty() ? message : message.append(hint_mark).append(hint);
}

[[noreturn]] inline void fail(ErrorKind kind, int error_number, std::string message) {
    throw TransportException({kind, error_number, std::move(message)});
}

}  // namespace spead
