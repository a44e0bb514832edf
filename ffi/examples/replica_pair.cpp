// Two replicas in one process: a pump house and an office keep the same readings, whoever wrote them, over QUIC with mutual TLS.
//
//     g++ -std=c++17 replica_pair.cpp $(pkg-config --cflags --libs tidelog) -o replica_pair && ./replica_pair site

#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <tidelog.hpp>

using namespace std::chrono_literals;

// Says when the peer is there, and how comparisons end.
class Log : public tidelog::EventHandler {
  public:
    explicit Log(std::string name) : name_(std::move(name)) {}
    bool on_event(const tidelog_event &event) override {
        if (event.kind == TIDELOG_EVENT_CONNECTED) std::clog << name_ << ": " << event.peer << " is linked\n";
        if (event.kind == TIDELOG_EVENT_COMPLETED) std::clog << name_ << ": " << event.outcome << '\n';
        return true; // go on
    }

  private:
    std::string name_;
};

static void write(tidelog::Store &store, const char *device, int readings) {
    auto batch = tidelog::Batch::of("site.pumps");
    const auto pump = batch.device(device);
    const auto pressure = batch.field<double>("pressure");
    for (int minute = 0; minute < readings; ++minute)
        batch.row(pump, 1'700'000'000'000'000'000 + minute * 60'000'000'000).set(pressure, 4 + minute / 100.0);
    store.write(batch);
}

int main(int argc, char **argv) try {
    const std::string folder = argc > 1 ? argv[1] : "site";
    auto house = tidelog::Store::open(folder + "_house"), office = tidelog::Store::open(folder + "_office");
    write(house, "pump_1", 600); // before there is any network

    // Who may speak with whom is a matter of keys: each side is told the fingerprint of the other.
    const auto house_key = tidelog::create_identity(house, folder + "_house_key");
    const auto office_key = tidelog::create_identity(office, folder + "_office_key");
    auto here = tidelog::Node::start(house, "127.0.0.1:0", folder + "_house_key", {{"office", "127.0.0.1:9", office_key}});
    auto there = tidelog::Node::start(office, "127.0.0.1:0", folder + "_office_key", {{"house", here.address(), house_key}});
    there.on_event(std::make_unique<Log>("office"));
    if (!there.ready(60s)) throw std::runtime_error("the pump house did not answer within a minute");

    write(office, "pump_2", 60); // both sides may write, also while they are linked
    there.repair();              // compares now, instead of within the hour
    // What was just written is on its way by the log, and no difference: it is there in a moment.
    for (int tries = 0; tries < 600 && house.query("site.pumps").count() < 660; ++tries) {
        std::this_thread::sleep_for(100ms);
    }
    const auto rows = house.query("site.pumps").count();
    const auto differences = house.collection("site.pumps").compare(office).count();
    std::cout << rows << " rows on both, " << differences << " differences\n";
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
