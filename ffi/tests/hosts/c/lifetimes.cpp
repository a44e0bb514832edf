// Objects end while other threads are in calls with them, and what is handed to one that has ended is let go of: the classes over the
// header and over the bridge.
#include "check.hpp"
#include <atomic>
#include <string>
#include <thread>

static tidelog::Batch one_row(std::int64_t time) {
    auto batch = TAKE(tidelog::Batch::of("a.b"));
    TAKE(batch.row(TAKE(batch.device("d")), time));
    return batch;
}

// Works until the object it calls was closed, and then fails as it should.
template <class F> static void until_closed(F call) {
#ifdef TIDELOG_NO_EXCEPTIONS
    for (;;) {
        const auto outcome = call();
        if (outcome) continue;
        CHECK(outcome.error().code() == TIDELOG_INVALID_HANDLE || outcome.error().code() == TIDELOG_CLOSED);
        if (outcome.error().code() == TIDELOG_INVALID_HANDLE) return;
    }
#else
    for (;;) {
        try {
            (void)call();
        } catch (const tidelog::Error &error) {
            CHECK(error.code() == TIDELOG_INVALID_HANDLE || error.code() == TIDELOG_CLOSED);
            if (error.code() == TIDELOG_INVALID_HANDLE) return;
        }
    }
#endif
}

static void a_store_closes_under_others() {
    for (int round = 0; round < 20; ++round) {
        auto store = TAKE(tidelog::Store::open("closing"));
        const auto batch = one_row(round);
        std::atomic<int> began{0};
        std::thread writes([&] {
            until_closed([&] { return ++began, store.write(batch, tidelog::Durability::os()); });
        });
        std::thread asks([&] {
            until_closed([&] { return ++began, store.collections(); });
        });
        COMES(began > 20);
        std::thread closes([&] { TAKE(store.close()); });
        TAKE(store.close());
        closes.join();
        writes.join();
        asks.join();
    }
}

static void a_node_stops_under_others() {
    if (!(tidelog::features() & TIDELOG_FEATURE_REPLICATION)) return;
    auto store = TAKE(tidelog::Store::open("stopping"));
    TAKE(tidelog::create_identity(store, "stopping_key"));
    for (int round = 0; round < 5; ++round) {
        auto node = TAKE(tidelog::Node::start(store, "127.0.0.1:0", "stopping_key", {}));
        std::atomic<int> began{0};
        const auto asks = [&] {
            until_closed([&] { return ++began, node.address(); });
        };
        std::thread first(asks), second(asks);
        COMES(began > 20);
        TAKE(node.stop());
        first.join();
        second.join();
    }
}

// What a record names stands in the tail until its next call: each thread gets the name of its own record all the same.
static void two_threads_follow_one_tail() {
    auto store = TAKE(tidelog::Store::open("followed"));
    auto tail = TAKE(tidelog::Tail::open(store));
    const int records = 2000;
    std::atomic<int> followed{0};
    const auto follows = [&] {
        while (followed < records) {
            auto record = TAKE(tail.next(std::chrono::milliseconds(20)));
            if (!record) continue;
            std::size_t rows = 0;
            for (const auto &block : record->rows) {
                CHECK(record->collection == "a." + std::string(block.device(0)));
                rows += block.rows();
            }
            CHECK(rows == 1);
            ++followed;
        }
    };
    std::thread first(follows), second(follows);
    for (int number = 0; number < records; ++number) {
        const std::string name = "n" + std::string(std::size_t(number % 40), 'x') + std::to_string(number % 10);
        auto batch = TAKE(tidelog::Batch::of("a." + name));
        TAKE(batch.row(TAKE(batch.device(name)), number));
        TAKE(store.write(batch, tidelog::Durability::os()));
    }
    first.join();
    second.join();
    auto moved = std::move(tail);
    CHECK(!TAKE(moved.next({})));
    FAILS(TIDELOG_INVALID_HANDLE, tail.next({}));
}

class Counted : public tidelog::RepairPolicy {
  public:
    explicit Counted(int &gone) : gone_(gone) {}
    ~Counted() override { ++gone_; }
    std::string name() const override { return "counted"; }
    tidelog::Outcome<std::vector<tidelog::RepairStep>> plan(const tidelog::RepairRound &) override { return std::vector<tidelog::RepairStep>(); }

  private:
    int &gone_;
};

class Listener : public tidelog::EventHandler {
  public:
    explicit Listener(int &gone) : gone_(gone) {}
    ~Listener() override { ++gone_; }
    bool on_event(const tidelog_event &) override { return true; }

  private:
    int &gone_;
};

static int released = 0;

static void what_is_handed_to_one_that_has_ended_is_let_go_of() {
    ArrowArray array{};
    array.release = [](ArrowArray *array) {
        ++released;
        array->release = nullptr;
    };
    ArrowSchema schema{};
    schema.release = [](ArrowSchema *schema) { schema->release = nullptr; };
    auto batch = one_row(1);
    auto moved = std::move(batch);
    FAILS(TIDELOG_INVALID_HANDLE, batch.append(array, schema));
    CHECK(released == 1 && !array.release);

    int policies = 0, handlers = 0;
    auto store = TAKE(tidelog::Store::open("ended"));
    if (tidelog::features() & TIDELOG_FEATURE_REPLICATION) {
        TAKE(tidelog::create_identity(store, "ended_key"));
        auto node = TAKE(tidelog::Node::start(store, "127.0.0.1:0", "ended_key", {}));
        FAILS(TIDELOG_INVALID_ARGUMENT, node.on_event(std::unique_ptr<tidelog::EventHandler>()));
        FAILS(TIDELOG_INVALID_ARGUMENT, node.on_event(tidelog::Node::Handler()));
        TAKE(node.stop());
        FAILS(TIDELOG_INVALID_HANDLE, node.set_policy(std::make_unique<Counted>(policies)));
        CHECK(policies == 1);
        FAILS(TIDELOG_INVALID_HANDLE, node.on_event(std::make_unique<Listener>(handlers)));
        CHECK(handlers == 1);
        TAKE(node.stop());
    }
    TAKE(store.close());
    FAILS(TIDELOG_INVALID_HANDLE, tidelog::Node::start(store, "127.0.0.1:0", "ended_key", {}, std::make_unique<Counted>(policies)));
    CHECK(policies == (tidelog::features() & TIDELOG_FEATURE_REPLICATION ? 2 : 1));
}

int main() {
    a_store_closes_under_others();
    a_node_stops_under_others();
    two_threads_follow_one_tail();
    what_is_handed_to_one_that_has_ended_is_let_go_of();
    return 0;
}
