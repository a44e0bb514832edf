// Copies and damage, pins, and texts and bytes by the column: by the header over the C ABI, with exceptions and without, and by the
// bridge of bindings/cpp.
#include "check.hpp"
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string>

namespace fs = std::filesystem;
using tidelog::Query;

static_assert(!std::is_copy_constructible_v<tidelog::Pin> && std::is_nothrow_move_constructible_v<tidelog::Pin>);
static_assert(std::is_nothrow_move_constructible_v<tidelog::Recovered> && !std::is_copy_constructible_v<tidelog::Recovered>);

static const auto go_on = [](std::uint64_t done, std::uint64_t total) { return done <= total; };
static const auto stop = [](std::uint64_t, std::uint64_t) { return false; };

static void write(tidelog::Store &store, std::int64_t from, std::int64_t rows) {
    auto batch = TAKE(tidelog::Batch::of("plant.boiler"));
    const auto pressure = TAKE(batch.field<double>("pressure"));
    const auto pump = TAKE(batch.device("pump"));
    for (std::int64_t row = from; row < from + rows; ++row) {
        TAKE(batch.row(pump, row));
        TAKE(batch.set(pressure, double(row)));
    }
    TAKE(store.write(batch));
}

// Bytes and texts, row by row and by the column; the schema of what comes out.
static void bytes(tidelog::Store &store) {
    auto frames = store.collection("plant.frames");
    TAKE(frames.create(15));
    TAKE(frames.create());
    FAILS(TIDELOG_INVALID_ARGUMENT, frames.create(7));
    auto batch = TAKE(frames.batch());
    const auto camera = TAKE(batch.device("camera"));
    const auto frame = TAKE(batch.field<tidelog::Bytes>("frame"));
    const std::array<std::uint8_t, 3> pixels{0, 255, 7};
    TAKE(batch.row(camera, 1));
    TAKE(batch.set(frame, pixels));
    const std::vector<std::int64_t> times{2, 3, 4};
    const std::vector<tidelog::Bytes> more{pixels, {}, {pixels.data(), 1}};
    const std::vector<std::string_view> notes{"sharp", "", std::string_view("a\0b", 3)};
    const std::uint8_t valid = 5;
    TAKE(batch.append(camera, times, {{"frame", more}, {"note", notes, &valid}}));
    FAILS(TIDELOG_INVALID_ARGUMENT, batch.append(camera, times, {{"note", std::vector<std::string_view>{"one"}}}));
    TAKE(store.write(batch));

    auto all = TAKE(frames.query(Query().threads(1)));
    const auto columns = TAKE(all.columns());
    CHECK(columns.size() == 2 && columns[0].name() == "frame" && columns[0].is<tidelog::Bytes>() && columns[0].size() == 0);
    CHECK(columns[1].name() == "note" && columns[1].kind() == TIDELOG_STRING);
    std::size_t rows = 0;
    for (const auto &block : all) {
        const auto first = block.column("frame").at<tidelog::Bytes>(0), last = block.column("frame").at<tidelog::Bytes>(3);
        CHECK(first && std::equal(first->begin(), first->end(), pixels.begin(), pixels.end()) && last && last->size() == 1);
        CHECK(block.column("frame").at<std::string_view>(2) == "" && !block.column("note").at<tidelog::Bytes>(1));
        CHECK(block.column("note").at<std::string_view>(1) == "sharp" && !block.column("note").has(2));
        CHECK(block.column("note").at<std::string_view>(3) == std::string_view("a\0b", 3) && !block.column("note").has(0));
        rows += block.rows();
    }
    CHECK(rows == 4 && columns[0].name() == "frame");
}

// Does a tail from a position find the log?
static bool reaches(tidelog::Store &store, const tidelog_position &from) {
#ifdef TIDELOG_NO_EXCEPTIONS
    auto tail = tidelog::Tail::open(store, &from);
    if (!tail) return false;
    auto record = tail->next({});
    return record && record->has_value();
#else
    try {
        return tidelog::Tail::open(store, &from).next({}).has_value();
    } catch (const tidelog::Error &error) {
        CHECK(error.code() == TIDELOG_GONE);
        return false;
    }
#endif
}

// What is pinned stays in the log over a flush, until the pin ends.
static void pins(tidelog::Store &store) {
    const auto held = [&](auto &&...arguments) {
        const auto begin = TAKE(store.position());
        auto pin = TAKE(store.pin("reader", &begin, arguments...));
        CHECK(pin.name() == "reader");
        write(store, 1000, 3);
        TAKE(store.flush());
        return std::make_pair(std::move(pin), begin);
    };
    {
        auto [pin, begin] = held();
        CHECK(reaches(store, begin));
        {
            tidelog::Pin moved = std::move(pin);
            pin = std::move(moved);
        }
        write(store, 1000, 3);
        TAKE(store.flush());
        CHECK(reaches(store, begin));
        TAKE(pin.release());
        FAILS(TIDELOG_INVALID_HANDLE, pin.release());
        write(store, 1000, 3);
        TAKE(store.flush());
        CHECK(!reaches(store, begin));
    }
    tidelog_position begin{};
    {
        auto [pin, from] = held();
        begin = from;
    }
    write(store, 1000, 3);
    TAKE(store.flush());
    CHECK(!reaches(store, begin)); // the object ended, and so did the pin
    {
        auto [pin, from] = held(tidelog::PinBounds{1 << 20, std::chrono::hours(1)});
        begin = from;
        pin.keep();
    }
    write(store, 1000, 3);
    TAKE(store.flush());
    CHECK(reaches(store, begin));
    TAKE(store.unpin("reader"));
    TAKE(store.unpin("reader"));
    write(store, 1000, 3);
    TAKE(store.flush());
    CHECK(!reaches(store, begin));
    tidelog_position other = TAKE(store.position());
    other.incarnation[0] ^= 1;
    FAILS(TIDELOG_IO, store.pin("reader", &other));
    FAILS(TIDELOG_INVALID_ARGUMENT, store.pin("", nullptr));
}

static void copies(tidelog::Store &store) {
    write(store, 0, 10);
    const auto made = TAKE(store.backup("copy"));
    CHECK(made && made->rows >= 10 && made->files > 0 && made->bytes > 0);
    FAILS(TIDELOG_LOCKED, store.backup("copy"));
    CHECK(!TAKE(store.backup("stopped", stop)));
    CHECK(TAKE(store.backup("told", go_on)));
    const auto id = TAKE(tidelog::adopt("copy"));
    FAILS(TIDELOG_NOT_FOUND, tidelog::adopt("nowhere"));
    auto copy = TAKE(tidelog::Store::open("copy"));
    const auto info = TAKE(store.describe()), other = TAKE(copy.describe());
    CHECK(std::equal(id.begin(), id.end(), other.store_id) && !std::equal(id.begin(), id.end(), info.store_id));
    CHECK(info.groups == 8 && info.damaged == 0);
    CHECK(TAKE(TAKE(store.collection("plant.boiler").compare(copy)).count()) == 0);
    // It is a store of its own.
    write(copy, 5000, 1);
    CHECK(TAKE(TAKE(store.collection("plant.boiler").compare(copy)).count()) == 1);
    FAILS(TIDELOG_LOCKED, tidelog::recover("copy"));
    tidelog_check_report report{};
    CHECK(TAKE(copy.check(go_on, &report)) && report.findings == 0 && report.rows >= 11);
    TAKE(copy.close());
}

static void recovery() {
    FAILS(TIDELOG_NOT_FOUND, tidelog::recover("nowhere"));
    auto well = TAKE(tidelog::recover("copy"));
    CHECK(well && well->report.findings == 0 && !well->report.manifest_replaced && well->report.rows >= 10);
    CHECK(TAKE(well->findings.count()) == 0);
    std::vector<fs::path> manifests;
    for (const auto &entry : fs::directory_iterator("copy"))
        if (entry.path().filename().string().rfind("MANIFEST-", 0) == 0) manifests.push_back(entry.path());
    CHECK(!manifests.empty());
    for (const auto &path : manifests) fs::remove(path);
    FAILS(TIDELOG_CORRUPT, tidelog::Store::open("copy"));
    CHECK(!TAKE(tidelog::recover("copy", stop)));
    FAILS(TIDELOG_CORRUPT, tidelog::Store::open("copy"));
    auto damaged = TAKE(tidelog::recover("copy", go_on));
    CHECK(damaged && damaged->report.manifest_replaced && damaged->report.listed_again > 0);
    CHECK(TAKE(damaged->findings.count()) == damaged->report.findings);
    {
        auto copy = TAKE(tidelog::Store::open("copy"));
        CHECK(TAKE(TAKE(copy.collection("plant.boiler").query(Query().to(10))).count()) == 10);
        CHECK(TAKE(TAKE(copy.collection("plant.boiler").query(Query().from(5000))).count()) == 1);
        TAKE(copy.flush());
    }

    // A file of rows: what is damaged moves aside, and the rows of the others stay.
    std::vector<fs::path> files;
    for (const auto &entry : fs::recursive_directory_iterator("copy"))
        if (entry.path().extension() == ".tide") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    CHECK(files.size() > 2);
    std::fstream file(files.front(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(std::streamoff(fs::file_size(files.front()) / 2));
    file.write("damage", 6);
    file.close();
    CHECK(file);
    tidelog::OpenOptions strict;
    strict.flags = TIDELOG_OPEN_STRICT;
    CHECK(TAKE(TAKE(TAKE(tidelog::Store::open("copy")).check()).count()) > 0);
    damaged = TAKE(tidelog::recover("copy"));
    CHECK(damaged && damaged->report.findings > 0 && damaged->report.quarantined == 1 && fs::exists("copy/quarantine"));
    auto what = TAKE(damaged->findings.next());
    CHECK(what && what->column("path").at<std::string_view>(0).value_or("").find(".tide") != std::string_view::npos);
    CHECK(TAKE(TAKE(TAKE(tidelog::Store::open("copy", strict)).check()).count()) == 0);
}

static void library() {
    const auto [oldest, newest] = tidelog::abi_range();
    CHECK(oldest <= TIDELOG_ABI_VERSION && newest >= TIDELOG_ABI_VERSION);
    CHECK(tidelog::status_text(TIDELOG_FULL).size() > 5 && tidelog::status_text(TIDELOG_FULL) != tidelog::status_text(-9999));
}

int main() {
    library();
    auto store = TAKE(tidelog::Store::open("store"));
    bytes(store);
    pins(store);
    copies(store);
    recovery();
    auto boiler = store.collection("plant.boiler");
    CHECK(TAKE(TAKE(boiler.digests(TIDELOG_LEVEL_WINDOW, 0, 1)).count()) == 1);
    CHECK(TAKE(TAKE(boiler.digests(TIDELOG_LEVEL_WINDOW, 1'000'000'000'000'000)).count()) == 0);
    FAILS(TIDELOG_INVALID_ARGUMENT, boiler.digests(TIDELOG_LEVEL_ROOT, 1, 1));
    CHECK(TAKE(boiler.erase()) > 0);
    // A pin that outlives its store does nothing.
    auto pin = TAKE(store.pin("late"));
    TAKE(store.close());
    return 0;
}
