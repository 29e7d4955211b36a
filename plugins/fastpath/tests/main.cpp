#include <cstdio>
#include <cstring>
#include <exception>

#include "check.hpp"

// Run all tests, or those whose names contain the argument.
int main(int argc, char **argv) {
    int failed = 0;
    int run = 0;
    for (const check::Case &test : check::cases()) {
        if (argc > 1 && !std::strstr(test.name, argv[1])) continue;
        run++;
        try {
            test.body();
        } catch (const std::exception &exception) {
            failed++;
            std::printf("%s: %s\n", test.name, exception.what());
        }
    }
    std::printf("%d of %d tests failed\n", failed, run);
    return failed > 0 || run == 0;
}
