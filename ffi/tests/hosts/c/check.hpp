// Checks of the hosts in C++, which are compiled against tidelog.hpp, with exceptions and without, and against the bridge of
// bindings/cpp. TAKE gives the value of what may fail, FAILS looks that it does.
#ifndef CHECK_HPP
#define CHECK_HPP

#ifdef TIDELOG_TEST_BRIDGE
#include "tidelog_cxx.hpp"
#else
#include "tidelog.hpp"
#endif
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#define CHECK(...)                                                                             \
    do {                                                                                       \
        if (!(__VA_ARGS__)) {                                                                  \
            std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #__VA_ARGS__); \
            std::exit(1);                                                                      \
        }                                                                                      \
    } while (0)

#ifdef TIDELOG_NO_EXCEPTIONS
template <class T> T take(tidelog::Expected<T> &&outcome, const char *file, int line) {
    if (!outcome) {
        std::fprintf(stderr, "%s:%d: %s\n", file, line, outcome.error().what());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(outcome).value();
}
#define TAKE(...) take(__VA_ARGS__, __FILE__, __LINE__)
#define FAILS(status, ...)                                                                     \
    do {                                                                                       \
        auto outcome = __VA_ARGS__;                                                            \
        CHECK(!outcome && outcome.error().code() == (status) && *outcome.error().what());      \
    } while (0)
#else
#define TAKE(...) __VA_ARGS__
#define FAILS(status, ...)                                                                     \
    do {                                                                                       \
        bool failed = false;                                                                   \
        try {                                                                                  \
            (void)(__VA_ARGS__);                                                               \
        } catch (const tidelog::Error &error) {                                                \
            failed = error.code() == (status) && *error.what() && error.kind() != 0;           \
            if (!failed) std::fprintf(stderr, "%d: %s\n", int(error.code()), error.what());    \
        }                                                                                      \
        CHECK(failed);                                                                         \
    } while (0)
#endif

// Waits for what another thread does, up to a minute.
#define COMES(...)                                                                             \
    do {                                                                                       \
        for (int waited = 0; waited < 12000 && !(__VA_ARGS__); ++waited)                       \
            std::this_thread::sleep_for(std::chrono::milliseconds(5));                         \
        CHECK(__VA_ARGS__);                                                                    \
    } while (0)

#endif
