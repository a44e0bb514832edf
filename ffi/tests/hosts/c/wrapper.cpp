// The C++ classes, by the header over the C ABI, with exceptions and without, and by the bridge of bindings/cpp: all mean the same.
#include "check.hpp"
#include <array>
#include <atomic>
#include <string>
#include <thread>
#if __cplusplus >= 202002L
#include <span>
#endif

using tidelog::Query;

static_assert(!std::is_copy_constructible_v<tidelog::Store> && std::is_nothrow_move_constructible_v<tidelog::Store>);
static_assert(!std::is_copy_constructible_v<tidelog::Result> && !std::is_copy_assignable_v<tidelog::Batch>);

static void fill(tidelog::Store &store) {
    auto batch = TAKE(store.collection("plant.boiler").batch());
    const auto pump = TAKE(batch.device("pump_1,line=north"));
    const auto pressure = TAKE(batch.field<double>("pressure"));
    const auto state = TAKE(batch.field<std::string_view>("state"));
    const auto on = TAKE(batch.field<bool>("on"));
    const auto count = TAKE(batch.field<std::uint64_t>("count"));
    for (std::int64_t second = 0; second < 100; ++second) {
        auto row = TAKE(batch.row(pump, second * 1'000'000'000));
        TAKE(row.set(pressure, double(second) / 2));
        TAKE(batch.set(state, second % 2 ? "open" : std::string_view("shut\0", 5)));
        if (second % 2) TAKE(batch.set(on, true));
        TAKE(batch.set(count, std::uint64_t(second)));
    }
    FAILS(TIDELOG_TYPE_CONFLICT, batch.field<float>("pressure"));
    FAILS(TIDELOG_INVALID_ARGUMENT, batch.row(tidelog::Device{7}, 0));
    const std::vector<std::int64_t> times{1, 2, 3};
    const std::array<double, 3> values{1.5, 2.5, 3.5};
    const std::uint8_t valid = 5;
    const auto other = TAKE(batch.device("pump_2"));
    TAKE(batch.append(other, times, {{"pressure", values}, {"level", values, &valid}}));
    FAILS(TIDELOG_INVALID_ARGUMENT, batch.append(other, times, {{"pressure", std::vector<double>{1}}}));
#if __cplusplus >= 202002L
    const std::span<const std::int64_t> later(times.data(), 1);
    TAKE(batch.append(other, later, {{"level", std::span<const double>(values.data(), 1)}}));
    CHECK(batch.rows() == 104);
    const auto receipt = TAKE(store.write(batch));
    CHECK(receipt.rows == 103); // one time twice
#else
    CHECK(batch.rows() == 103);
    const auto receipt = TAKE(store.write(batch));
    CHECK(receipt.rows == 103);
#endif
    batch.clear();
    CHECK(batch.rows() == 0);
    TAKE(batch.row(pump, -1));
    auto ticket = TAKE(store.submit(batch, tidelog::Durability::os()));
    CHECK(TAKE(ticket.wait()).rows == 1 && TAKE(ticket.is_done()));
    TAKE(store.write(batch, tidelog::Durability::interval(std::chrono::milliseconds(5))));
}

// Rows that come as an Arrow batch, and numbers of the types that nothing else here is of.
static void carry(ArrowArrayStream &stream) {
    ArrowSchema schema;
    ArrowArray array;
    CHECK(stream.get_schema(&stream, &schema) == 0 && stream.get_next(&stream, &array) == 0 && array.release);
    auto batch = TAKE(tidelog::Batch::of("plant.arrow"));
    TAKE(batch.append(array, schema));
    CHECK(batch.rows() > 0 && !array.release);
    const auto device = TAKE(batch.device("of numbers"));
    const auto small = TAKE(batch.field<float>("small")), big = TAKE(batch.field<float>("big"));
    const auto whole = TAKE(batch.field<std::int64_t>("whole"));
    TAKE(batch.row(device, 1));
    TAKE(batch.set(small, 0.5f));
    TAKE(batch.set(big, 1.5f));
    TAKE(batch.set(whole, -3));
    auto store = TAKE(tidelog::Store::open("arrow"));
    CHECK(TAKE(store.write(batch)).rows == batch.rows());
    auto numbers = TAKE(store.query("plant.arrow", Query().devices({"of numbers"}).fields({"small", "whole"})));
    for (const auto &block : numbers)
        CHECK(block.column("small").at<float>(0) == 0.5f && block.column("whole").at<std::int64_t>(0) == -3);
    schema.release(&schema);
}

static void ask(const tidelog::Store &store) {
    const auto boiler = store.collection("plant.boiler");
    std::size_t rows = 0, open = 0;
    double sum = 0;
    auto all = TAKE(boiler.query(Query().devices({"pump_1,line=north"}).from(0)));
    for (const auto &block : all) {
        CHECK(block.device(0) == "pump_1,line=north" && block.times().size() == block.rows());
        for (std::optional<double> value : block.column("pressure").values<double>()) sum += *value;
        for (const double value : block.column("pressure").span<double>()) sum += value;
        for (std::optional<std::string_view> state : block.column("state").values<std::string_view>()) {
            CHECK(*state == "open" || state->size() == 5);
            open += *state == "open";
        }
        CHECK(!block.column("on").at<bool>(0) && block.column("on").at<bool>(1) == true);
        CHECK(!block.column("pressure").at<float>(0) && block.column("count").at<std::uint64_t>(7) == 7u);
        CHECK(block.column("nothing").size() == 0 && block.column("nothing").span<double>().empty());
        rows += block.rows();
    }
    CHECK(rows == 100 && open == 50 && sum == 99 * 50);

    auto windows = TAKE(boiler.query(Query().from(0).to(100'000'000'000).fields({"pressure"}).devices({"pump_1,line=north"})
        .every(std::chrono::seconds(10)).aggregates(TIDELOG_MEAN | TIDELOG_COUNT)));
    rows = 0;
    for (const auto &block : windows) {
        rows += block.rows();
        CHECK(block.columns() == 2 && block.column("pressure_count").at<std::uint64_t>(0) == 10u);
    }
    CHECK(rows == 10);
    const auto count = [&](const Query &query) { return TAKE(TAKE(boiler.query(query)).count()); };
    CHECK(count(Query().where("state", TIDELOG_EQUAL, "open").where("count", TIDELOG_LESS, std::int64_t(10))) == 5);
    CHECK(count(Query().where("on", TIDELOG_EQUAL, true).limit(7)) == 7);
    CHECK(count(Query().where("pressure", TIDELOG_GREATER, 49.4)) == 1);
    CHECK(count(Query().label("line", "north")) == 101 && count(Query().device_prefix("pump_2")) == 3);
    CHECK(count(Query().devices({})) == 0);
    auto open_for = TAKE(boiler.query(Query().from(0).to(100'000'000'000).devices({"pump_1,line=north"}).time_in_state("state", "open")));
    for (const auto &block : open_for) CHECK(block.column("state_in_open").at<std::int64_t>(0) == 50'000'000'000);
    CHECK(count(Query().every(TIDELOG_DAY, "Asia/Tokyo").all_devices().aggregates(TIDELOG_MAX).fields({"pressure"})) == 1);
    CHECK(TAKE(TAKE(boiler.latest()).count()) == 2);
    CHECK(TAKE(TAKE(store.downsample("plant.boiler", Query().fields({"pressure"}).device_prefix("pump_1"), TIDELOG_LTTB, 10)).count()) == 10);
    CHECK(TAKE(windows.explain()).rows == 100 && count(Query()) == 104);
    CHECK(TAKE(TAKE(boiler.fields()).count()) == 5);
    CHECK(TAKE(TAKE(store.collections()).count()) == 1);
    FAILS(TIDELOG_NOT_FOUND, store.query("plant.no"));
    FAILS(TIDELOG_INVALID_ARGUMENT, boiler.query(Query().every(99)));

    auto cancelled = TAKE(boiler.query());
    cancelled.cancel();
#ifdef TIDELOG_NO_EXCEPTIONS
    for (const auto &block : cancelled) CHECK(block.rows() == 0);
    CHECK(cancelled.error() && cancelled.error()->code() == TIDELOG_CANCELLED);
#else
    FAILS(TIDELOG_CANCELLED, cancelled.count());
#endif
    ArrowArrayStream stream;
    auto rest = TAKE(boiler.query());
    TAKE(rest.to_arrow(stream));
    CHECK(stream.release);
    FAILS(TIDELOG_INVALID_HANDLE, rest.next());
    carry(stream);
    stream.release(&stream);
}

static void change(tidelog::Store &store, tidelog::Store &other) {
    auto boiler = store.collection("plant.boiler");
    CHECK(TAKE(TAKE(boiler.compare(other)).count()) == 0);
    CHECK(TAKE(TAKE(boiler.digests()).count()) == 1);
    TAKE(boiler.erase(Query().devices({"pump_2"}).to(2)));
    CHECK(TAKE(TAKE(boiler.query(Query().devices({"pump_2"}))).count()) == 2);
    CHECK(TAKE(TAKE(boiler.compare(other)).count()) == 1);
    FAILS(TIDELOG_INVALID_ARGUMENT, boiler.set_retention("for ever"));
    TAKE(store.flush());
    CHECK(TAKE(store.seal()).has_value() && TAKE(store.compact()));
    bool told = false;
    CHECK(TAKE(store.compact([&](std::uint64_t done, std::uint64_t total) { return told = true, done <= total; })));
    CHECK(!TAKE(store.check([&](std::uint64_t, std::uint64_t) { return told = true, false; })));
    CHECK(told && TAKE(TAKE(store.check([](std::uint64_t, std::uint64_t) { return true; }))->count()) == 0);
#ifndef TIDELOG_NO_EXCEPTIONS
    bool thrown = false;
    try {
        store.check([](std::uint64_t, std::uint64_t) -> bool { throw std::out_of_range("comes out of the call"); });
    } catch (const std::out_of_range &) {
        thrown = true;
    }
    CHECK(thrown);
#endif
    CHECK(TAKE(TAKE(store.check()).count()) == 0);
    CHECK(TAKE(store.stats()).files > 0);
}

static void follow(tidelog::Store &store) {
    auto tail = TAKE(tidelog::Tail::open(store));
    CHECK(!TAKE(tail.next(std::chrono::milliseconds(1))));
    auto batch = TAKE(tidelog::Batch::of("plant.tail"));
    TAKE(batch.row(TAKE(batch.device("d")), 5));
    const auto written = TAKE(store.write(batch)).position;
    const auto erased = TAKE(store.collection("plant.tail").erase());
    auto record = TAKE(tail.next(std::chrono::seconds(10)));
    CHECK(record && record->kind == TIDELOG_RECORD_ROWS && record->collection == "plant.tail");
    CHECK(TAKE(record->rows.count()) == 1);
    record = TAKE(tail.next(std::chrono::seconds(10)));
    CHECK(record && record->kind == TIDELOG_RECORD_DELETE && record->stamp == erased);
    CHECK(record->position.offset >= written.offset && record->position.offset < record->next.offset);
    auto again = TAKE(tidelog::Tail::open(store, &record->next));
    CHECK(!TAKE(again.next({})));
}

// A class that hears events, and says when it goes.
class Counter : public tidelog::EventHandler {
  public:
    Counter(std::atomic<int> &heard, std::atomic<bool> &gone) : heard_(heard), gone_(gone) {}
    ~Counter() override { gone_ = true; }
    bool on_event(const tidelog_event &event) override { return event.struct_size == sizeof event && ++heard_ > 0; }

  private:
    std::atomic<int> &heard_;
    std::atomic<bool> &gone_;
};

static void nodes(tidelog::Store &a, tidelog::Store &b) {
    if (!(tidelog::features() & TIDELOG_FEATURE_REPLICATION)) return;
    const auto key_a = TAKE(tidelog::create_identity(a, "key_a")), key_b = TAKE(tidelog::create_identity(b, "key_b"));
    std::atomic<int> heard{0}, counted{0};
    std::atomic<bool> gone{false};
    {
        auto first = TAKE(tidelog::Node::start(a, "127.0.0.1:0", "key_a", {{"b", "127.0.0.1:9", key_b}}));
        TAKE(first.on_event([&heard](const tidelog_event &) { return ++heard < 1000; }));
#ifndef TIDELOG_NO_EXCEPTIONS
        TAKE(first.on_event([](const tidelog_event &) -> bool { throw std::runtime_error("ends the handler"); }));
        TAKE(first.on_event([](const tidelog_event &) -> bool { throw 7; }));
#endif
        auto second = TAKE(tidelog::Node::start(b, "127.0.0.1:0", "key_b", {{"a", TAKE(first.address()), key_a}}));
        TAKE(second.on_event(std::make_unique<Counter>(counted, gone)));
        CHECK(TAKE(second.ready(std::chrono::minutes(1))));
        CHECK(TAKE(TAKE(second.status()).count()) == 1);
        CHECK(TAKE(TAKE(second.repair()).count()) == 1);
        CHECK(TAKE(TAKE(a.collection("plant.boiler").compare(b)).count()) == 0);
        TAKE(second.stop());
        CHECK(gone && counted > 0);
        FAILS(TIDELOG_INVALID_HANDLE, second.status());
        // Without staying; and nobody is there.
        const tidelog::Peer peer{"a", TAKE(first.address()), key_a};
        CHECK(TAKE(TAKE(tidelog::sync(b, peer, "key_b")).count()) == 1);
        FAILS(TIDELOG_PEER, tidelog::sync(b, tidelog::Peer{"a", "127.0.0.1:9", key_a}, "key_b", std::chrono::milliseconds(300)));
    }
    CHECK(heard > 0);
}

int main() {
    CHECK(tidelog::version() == "0.1.0");
    tidelog::OpenOptions options;
    options.groups = 4;
    auto store = TAKE(tidelog::Store::open("store", options));
    auto other = TAKE(tidelog::Store::open("other", options));
    FAILS(TIDELOG_LOCKED, tidelog::Store::open("store"));
    fill(store);
    fill(other);
    std::thread(ask, std::cref(store)).join();
    change(store, other);
    follow(store);
    std::atomic<int> lines{0};
    TAKE(tidelog::log_to(TIDELOG_LOG_DEBUG, [&lines](const tidelog_log_record &line) { return line.message.length > 0 && ++lines; }));
    nodes(store, other);
    TAKE(tidelog::log_to(0, {}));
    FAILS(TIDELOG_INVALID_ARGUMENT, tidelog::log_to(99, [](const tidelog_log_record &) { return true; }));
    CHECK(lines > 0 || !(tidelog::features() & TIDELOG_FEATURE_REPLICATION));
    TAKE(store.collection("plant.boiler").set_retention("raw=30d"));

    // What was moved from, and what was closed, is found out.
    tidelog::Store moved = std::move(store);
    FAILS(TIDELOG_INVALID_HANDLE, store.flush());
    TAKE(moved.flush());
    moved = std::move(other);
    TAKE(moved.close());
    FAILS(TIDELOG_INVALID_HANDLE, moved.flush());
    TAKE(moved.close());
    return 0;
}
