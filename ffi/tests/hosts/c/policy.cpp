// A policy as a class of C++: it plans what the same one in Rust does, and what it throws loses the round and no more.
#ifdef TIDELOG_TEST_BRIDGE
#include "tidelog_cxx.hpp"
#else
#include "tidelog.hpp"
#endif
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>

#define CHECK(...)                                                                             \
    do {                                                                                       \
        if (!(__VA_ARGS__)) {                                                                  \
            std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #__VA_ARGS__); \
            std::exit(1);                                                                      \
        }                                                                                      \
    } while (0)

#ifdef TIDELOG_NO_EXCEPTIONS
template <class T> T taken(tidelog::Expected<T> &&outcome) {
    CHECK(outcome.has_value());
    return std::move(outcome).value();
}
#define TAKE(...) taken(__VA_ARGS__)
#else
#define TAKE(...) __VA_ARGS__
#endif

using Bytes = std::vector<std::uint8_t>;
using Steps = std::vector<tidelog::RepairStep>;

// Repairs everything, what is newest first.
class NewestFirst final : public tidelog::RepairPolicy {
  public:
    std::string name() const override { return "newest-first"; }
    tidelog::Outcome<Steps> plan(const tidelog::RepairRound &round) override {
        std::vector<std::uint32_t> order(round.windows.size());
        std::iota(order.begin(), order.end(), 0u);
        std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
            return round.windows[a].last_ns > round.windows[b].last_ns;
        });
        Steps steps;
        for (const std::uint32_t window : order) steps.emplace_back(window, round.peer, TIDELOG_ACTION_BOTH);
        return steps;
    }
};

// Fails as it is told.
class Failing final : public tidelog::RepairPolicy {
  public:
    explicit Failing(int how) : how_(how) {}
    std::string name() const override { return "failing"; }
    tidelog::Outcome<Steps> plan(const tidelog::RepairRound &round) override {
        std::size_t seen = 0;
        for (const auto &window : round.windows) seen += window.collection != nullptr;
        for (const auto &peer : round.peers) seen += peer.cost <= TIDELOG_COST_METERED;
        CHECK(seen == round.windows.size() + round.peers.size());
        tidelog_error error{};
        std::snprintf(error.message, sizeof error.message, "no satellites");
#ifdef TIDELOG_NO_EXCEPTIONS
        if (how_ < 3) return tidelog::Error(TIDELOG_UNSUPPORTED, error);
#else
        if (how_ == 0) throw std::runtime_error("the tariffs are gone");
        if (how_ == 1) throw 7;
        if (how_ == 2) throw tidelog::Error(TIDELOG_UNSUPPORTED, error);
#endif
        return Steps{{99, 0, TIDELOG_ACTION_BOTH}};
    }

  private:
    int how_;
};

static bool next(std::ifstream &file, Bytes &bytes) {
    std::uint8_t head[4];
    if (!file.read(reinterpret_cast<char *>(head), 4)) return false;
    bytes.resize(std::size_t(head[0]) | std::size_t(head[1]) << 8 | std::size_t(head[2]) << 16 | std::size_t(head[3]) << 24);
    return bool(file.read(reinterpret_cast<char *>(bytes.data()), std::streamsize(bytes.size())));
}

// What the row of a replay has in a column.
static std::string cell(tidelog::RepairPolicy &policy, const Bytes &recorded, const char *name) {
    auto result = TAKE(tidelog::replay_policy(policy, recorded));
    const auto block = TAKE(result.next());
    CHECK(block && block->rows() == 1);
    const auto text = block->column(name).at<std::string_view>(0);
    return std::string(text.value_or("absent"));
}

static void equal() {
    std::ifstream file("rounds", std::ios::binary);
    NewestFirst policy;
    Bytes recorded, plan, skipped;
    std::size_t rounds = 0;
    for (; next(file, recorded); ++rounds) {
        CHECK(next(file, plan));
        CHECK(cell(policy, recorded, "plan") == std::string(plan.begin(), plan.end()));
        for (int rest = 0; rest < 3; ++rest) CHECK(next(file, skipped));
    }
    CHECK(rounds == 10'000);
}

int main() {
    equal();
    std::ifstream file("first", std::ios::binary);
    Bytes recorded;
    CHECK(next(file, recorded));
#ifdef TIDELOG_NO_EXCEPTIONS
    const std::array<const char *, 4> whys{"round: no satellites", "round: no satellites", "round: no satellites", "names window 99 of 3"};
#else
    const std::array<const char *, 4> whys{"failed: the tariffs are gone", "failed: it threw", "round: no satellites", "names window 99 of 3"};
#endif
    for (int how = 0; how < 4; ++how) {
        Failing failing(how);
        const auto why = cell(failing, recorded, "why");
        if (why.find(whys[std::size_t(how)]) == std::string::npos) std::fprintf(stderr, "%s\n", why.c_str());
        CHECK(why.find(whys[std::size_t(how)]) != std::string::npos);
        CHECK(cell(failing, recorded, "carried_out") == std::string("\3\0\3\0\1\3\0\2\3\0", 10));
    }
    NewestFirst good;
    CHECK(cell(good, recorded, "why") == "absent");
    return 0;
}
