// The little that these tests need of a framework: cases that register themselves, and checks that say what they saw.
#pragma once

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace check {

struct Case {
    const char *name;
    void (*body)();
};

inline std::vector<Case> &cases() {
    static std::vector<Case> all;
    return all;
}

struct Registration {
    Registration(const char *name, void (*body)()) { cases().push_back({name, body}); }
};

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <typename A, typename B>
void equal(const A &a, const B &b, const char *text, const char *file, int line) {
    if (a == b) return;
    std::ostringstream message;
    message << file << ":" << line << ": " << text << " is " << +a << ", not " << +b;
    throw Failure(message.str());
}

inline void is_true(bool value, const char *text, const char *file, int line) {
    if (!value) throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + text + " is false");
}

template <typename Exception, typename Body>
Exception thrown_by(Body body, const char *text, const char *file, int line) {
    try {
        body();
    } catch (const Exception &exception) {
        return exception;
    }
    throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + text + " did not throw");
}

}  // namespace check

#define TEST(name)                                                  \
    static void name();                                             \
    static const check::Registration name##_registration(#name, name); \
    static void name()
#define CHECK(condition) check::is_true(bool(condition), #condition, __FILE__, __LINE__)
#define CHECK_EQUAL(a, b) check::equal(a, b, #a, __FILE__, __LINE__)
#define CHECK_THROWS(exception, ...) check::thrown_by<exception>([&] { __VA_ARGS__; }, #__VA_ARGS__, __FILE__, __LINE__)
