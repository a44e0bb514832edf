// A policy as a class of C++: it plans what the same one in Rust does, and what it throws loses the round and no more.
#include "check.hpp"
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>

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

#ifdef TIDELOG_NO_EXCEPTIONS
static const std::array<const char *, 4> whys{"round: no satellites", "round: no satellites", "round: no satellites", "names window 99 of"};
#else
static const std::array<const char *, 4> whys{"failed: the tariffs are gone", "failed: it threw", "round: no satellites", "names window 99 of"};
#endif

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

#ifndef TIDELOG_TEST_BRIDGE
// Each entry of the file is a round, what two policies in Rust plan for it, and what of that is carried out: the first is this one.
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
    CHECK(rounds > 10'000);
}
#endif

static void write(tidelog::Store &store, const char *name, std::int64_t hours) {
    auto batch = TAKE(tidelog::Batch::of("plant.boiler"));
    const auto device = TAKE(batch.device(name));
    const auto field = TAKE(batch.field<double>("pressure"));
    for (std::int64_t hour = 0; hour < hours; ++hour) {
        TAKE(batch.row(device, hour * 3'600'000'000'000));
        TAKE(batch.set(field, 4.2));
    }
    TAKE(store.write(batch));
}

// One that says when it goes, and leaves everything.
class Leaving final : public tidelog::RepairPolicy {
  public:
    explicit Leaving(std::atomic<int> &gone) : gone_(gone) {}
    ~Leaving() override { ++gone_; }
    std::string name() const override { return "leaving"; }
    tidelog::Outcome<Steps> plan(const tidelog::RepairRound &) override { return Steps(); }

  private:
    std::atomic<int> &gone_;
};

// A policy that fails loses its round: everything is repaired, the reason is told, and the round can be planned again.
static Bytes nodes(int how) {
    const std::string number = std::to_string(how);
    auto a = TAKE(tidelog::Store::open("a" + number)), b = TAKE(tidelog::Store::open("b" + number));
    const auto key_a = TAKE(tidelog::create_identity(a, "key_a" + number)), key_b = TAKE(tidelog::create_identity(b, "key_b" + number));
    write(a, "pump", 3);
    write(b, "fan", 2);
    tidelog::PolicyBounds bounds;
    bounds.record = "recorded" + number;
    bounds.max_deferral = std::chrono::hours(1);
    std::mutex mutex;
    std::string why;
    std::atomic<int> planned{0}, gone{0};
    {
        auto first = TAKE(tidelog::Node::start(a, "127.0.0.1:0", "key_a" + number, {{"b", "127.0.0.1:9", key_b}},
                                               std::make_unique<Failing>(how), bounds));
        TAKE(first.on_event([&](const tidelog_event &event) {
            if (event.kind != TIDELOG_EVENT_PLANNED) return true;
            const std::lock_guard<std::mutex> lock(mutex);
            CHECK(event.windows > 0 && event.repaired == event.windows && event.overdue == event.windows);
            why = std::string(event.policy) + ": " + (event.why ? event.why : "nothing");
            return ++planned > 0;
        }));
        auto second = TAKE(tidelog::Node::start(b, "127.0.0.1:0", "key_b" + number, {{"a", TAKE(first.address()), key_a}}));
        COMES(planned > 0 && TAKE(TAKE(a.query("plant.boiler")).count()) == 5);
        COMES(TAKE(TAKE(b.collection("plant.boiler").query()).count()) == 5);
        TAKE(first.set_policy(std::make_unique<Leaving>(gone), bounds));
        TAKE(first.set_policy(nullptr));
        COMES(gone == 1);
        bounds.timeout = std::chrono::minutes(1);
        bool refused = false;
#ifdef TIDELOG_NO_EXCEPTIONS
        refused = !first.set_policy(std::make_unique<Leaving>(gone), bounds);
#else
        try {
            first.set_policy(std::make_unique<Leaving>(gone), bounds);
        } catch (const tidelog::Error &error) {
            refused = error.code() == TIDELOG_INVALID_ARGUMENT;
        }
#endif
        CHECK(refused && gone == 2);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    if (why.rfind("failing: ", 0) != 0 || why.find(whys[std::size_t(how)]) == std::string::npos) {
        std::fprintf(stderr, "%d: %s\n", how, why.c_str());
        std::exit(1);
    }
    std::ifstream file(bounds.record, std::ios::binary);
    Bytes recorded;
    CHECK(next(file, recorded));
    return recorded;
}

int main() {
    NewestFirst good;
    if (tidelog::features() & TIDELOG_FEATURE_REPLICATION) {
        CHECK(cell(good, nodes(0), "why") == "absent");
        CHECK(cell(good, nodes(3), "why") == "absent");
    }
#ifndef TIDELOG_TEST_BRIDGE
    equal();
    std::ifstream file("first", std::ios::binary);
    Bytes recorded;
    CHECK(next(file, recorded));
    for (int how = 0; how < 4; ++how) {
        Failing failing(how);
        const auto why = cell(failing, recorded, "why");
        if (why.find(whys[std::size_t(how)]) == std::string::npos) std::fprintf(stderr, "%s\n", why.c_str());
        CHECK(why.find(whys[std::size_t(how)]) != std::string::npos);
        CHECK(cell(failing, recorded, "carried_out") == std::string("\3\0\3\0\1\3\0\2\3\0", 10));
    }
    CHECK(cell(good, recorded, "why") == "absent");
#endif
    return 0;
}
