// A gateway: three collections, each with a retention of its own, rollups by hour and day, and points for a plot.
//
//     c++ -std=c++17 gateway.cpp $(pkg-config --cflags --libs tidelog) -o gateway && ./gateway site

#include <cmath>
#include <cstdio>
#include <tidelog.hpp>

namespace {

constexpr std::int64_t minute = 60'000'000'000, day = 24 * 60 * minute, start = 1'700'000'000'000'000'000 / day * day;

// Two days of one device, a row a minute, by columns.
void collect(tidelog::Store &store, const char *collection, const char *device, double level) {
    std::vector<std::int64_t> times;
    std::vector<double> values;
    for (std::int64_t at = 0; at < 2 * day / minute; ++at) {
        times.push_back(start + at * minute);
        values.push_back(level + std::sin(static_cast<double>(at) / 200));
    }
    auto batch = tidelog::Batch::of(collection);
    batch.append(batch.device(device), times, {{"value", values}});
    store.write(batch, tidelog::Durability::interval(std::chrono::seconds(1)));
}

} // namespace

int main(int count, char **arguments) try {
    auto store = tidelog::Store::open(count > 1 ? arguments[1] : "site");
    collect(store, "site.temperature", "hall_1,floor=0", 21);
    collect(store, "site.temperature", "hall_2,floor=1", 23);
    collect(store, "site.power", "meter_1", 4);
    collect(store, "site.flow", "pump_1", 12);
    store.collection("site.flow").set_retention("raw=30d,1h=1y,1d=forever");

    const auto daily = tidelog::Query().every(TIDELOG_DAY).aggregates(TIDELOG_MEAN | TIDELOG_MIN | TIDELOG_MAX);
    for (const char *name : {"site.temperature", "site.power", "site.flow"}) {
        auto days = store.query(name, daily);
        for (const auto &block : days)
            for (std::size_t row = 0; row < block.rows(); ++row) {
                const std::string device(block.device(row));
                std::printf("%-17s %-15s day %lld: mean %.3f, from %.3f to %.3f\n", name, device.c_str(),
                            static_cast<long long>((block.times()[row] - start) / day),
                            *block.column("value_mean").at<double>(row), *block.column("value_min").at<double>(row),
                            *block.column("value_max").at<double>(row));
            }
    }
    // As many points as a plot of 200 pixels can show.
    auto points = store.downsample("site.power", tidelog::Query().fields({"value"}), TIDELOG_LTTB, 200);
    std::printf("%zu points to plot\n", points.count());
    store.close();
    return 0;
} catch (const tidelog::Error &error) {
    std::fprintf(stderr, "gateway: %s\n", error.what());
    return 1;
}
