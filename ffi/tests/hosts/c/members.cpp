// Who is a replica, and of what: nodes by their configuration files, epochs, groups that are given up, replicas that are forgotten.
// By the header over the C ABI, and by the bridge of bindings/cpp.
#include "check.hpp"
#include <cstring>
#include <fstream>
#include <string>

// The configuration of the node of a store: more lines under [node], and a peer if there is one.
static void configure(const std::string &name, const std::string &more, const tidelog::Peer *peer) {
    std::ofstream file(name + ".toml", std::ios::trunc);
    file << "[node]\nstore = \"" << name << "\"\nidentity = \"key_" << name << "\"\nlisten = \"127.0.0.1:0\"\n" << more;
    if (peer)
        file << "[[peer]]\nname = \"" << peer->name << "\"\naddress = \"" << peer->address << "\"\nfingerprint = \"" << peer->fingerprint
             << "\"\n";
    CHECK(file.flush());
}

static std::size_t rows(const tidelog::Store &store) {
#ifdef TIDELOG_NO_EXCEPTIONS
    auto all = store.query("plant.boiler");
    return all ? TAKE(all->count()) : 0;
#else
    try {
        return store.query("plant.boiler").count();
    } catch (const tidelog::Error &error) {
        CHECK(error.code() == TIDELOG_NOT_FOUND);
        return 0;
    }
#endif
}

// Devices of all groups.
static void write(tidelog::Store &store) {
    auto batch = TAKE(tidelog::Batch::of("plant.boiler"));
    const auto pressure = TAKE(batch.field<double>("pressure"));
    for (int device = 0; device < 40; ++device) {
        TAKE(batch.row(TAKE(batch.device("pump" + std::to_string(device))), 1));
        TAKE(batch.set(pressure, 4.2));
    }
    TAKE(store.write(batch));
}

static std::string hex(const std::uint8_t *id) {
    std::string text;
    for (int at = 0; at < 16; ++at) {
        char byte[3];
        std::snprintf(byte, sizeof byte, "%02x", id[at]);
        text += byte;
    }
    return text;
}

static std::string text_of(tidelog::Result result, const char *column) {
    auto block = TAKE(result.next());
    CHECK(block && block->rows() == 1);
    return std::string(block->column(column).at<std::string_view>(0).value_or("nothing"));
}

// Is the group given up? Not before the others have shown that they have all of it.
static bool dropped(tidelog::Node &node, std::uint32_t group, std::uint64_t &rows) {
#ifdef TIDELOG_NO_EXCEPTIONS
    auto gone = node.drop_group(group);
    if (!gone) {
        CHECK(gone.error().code() == TIDELOG_PEER);
        return false;
    }
    const tidelog_dropped_group found = *gone;
#else
    tidelog_dropped_group found{};
    try {
        found = node.drop_group(group);
    } catch (const tidelog::Error &error) {
        CHECK(error.code() == TIDELOG_PEER);
        return false;
    }
#endif
    CHECK(found.group == group && found.bytes > 0);
    rows = found.rows;
    return true;
}

static void groups(tidelog::Store &a, tidelog::Store &b, tidelog::Peer &to_a, const tidelog::Peer &to_b) {
    configure("a", "groups = [1, 2, 3]\n", &to_b);
    auto first = TAKE(tidelog::Node::start(a, "a.toml"));
    CHECK(TAKE(TAKE(first.groups()).count()) == 3 && TAKE(TAKE(first.behind()).count()) == 0);
    FAILS(TIDELOG_INVALID_ARGUMENT, first.drop_group(1));
    FAILS(TIDELOG_INVALID_ARGUMENT, first.drop_group(99));
    FAILS(TIDELOG_PEER, first.drop_group(0));
    FAILS(TIDELOG_NOT_FOUND, first.forget("nobody"));
    CHECK(rows(a) == 40);

    to_a.address = TAKE(first.address());
    configure("b", "", &to_a);
    auto second = TAKE(tidelog::Node::start(b, "b.toml"));
    std::uint64_t gone = 0;
    COMES(gone > 0 || dropped(first, 0, gone));
    CHECK(rows(a) == 40 - gone);
    // The other groups follow in their own time.
    COMES(rows(b) == 40);
    FAILS(TIDELOG_PEER, first.forget("b"));

    // A part of the work of an operator; an hour of it is the whole collection here.
    tidelog::Repair part;
    part.peer = "b";
    part.collection = "plant.boiler";
    part.from = 0;
    part.to = 3'600'000'000'000;
    part.timeout = std::chrono::minutes(1);
    CHECK(text_of(TAKE(first.repair(part)), "outcome") != "aborted");
    part.peer = "nobody";
    FAILS(TIDELOG_PEER, first.repair(part));
    part.collection.clear();
    FAILS(TIDELOG_INVALID_ARGUMENT, first.repair(part));
}

static void epochs(tidelog::Store &a, tidelog::Store &b, tidelog::Peer &to_a, const tidelog::Peer &to_b) {
    CHECK(TAKE(TAKE(a.epochs()).count()) == 0);
    configure("a", "epoch = 1\n", &to_b);
    auto first = TAKE(tidelog::Node::start(a, "a.toml"));
    COMES(TAKE(TAKE(a.epochs()).count()) == 4);
    to_a.address = TAKE(first.address());
    configure("b", "", &to_a);
    auto second = TAKE(tidelog::Node::start(b, "b.toml"));
    COMES(TAKE(TAKE(second.behind()).count()) == 4);
    auto behind = TAKE(second.behind());
    const auto block = TAKE(behind.next());
    CHECK(block && block->column("epoch").at<std::uint64_t>(0) == 0u && block->column("seen").at<std::uint64_t>(0) == 1u);
    CHECK(TAKE(TAKE(first.behind()).count()) == 0 && TAKE(TAKE(b.epochs()).count()) == 4);
}

static void forgotten(tidelog::Store &a, tidelog::Store &b, tidelog::Peer &to_a, const tidelog::Peer &to_b) {
    const auto info = TAKE(b.describe());
    configure("a", "epoch = 1\n", &to_b);
    FAILS(TIDELOG_NOT_FOUND, a.forget("no such file", hex(info.store_id)));
    FAILS(TIDELOG_NOT_FOUND, a.forget("a.toml", "nobody"));
    configure("a", "epoch = 1\n", nullptr);
    {
        auto first = TAKE(tidelog::Node::start(a, "a.toml"));
        const auto id = TAKE(first.forget(hex(info.store_id)));
        CHECK(std::memcmp(id.data(), info.store_id, id.size()) == 0);
    }
    // Where no node runs, and a store that was never seen.
    CHECK(hex(TAKE(a.forget("a.toml", "0102030405060708090a0b0c0d0e0f10")).data()) == "0102030405060708090a0b0c0d0e0f10");
    // Whoever lists it again is told, on both sides.
    configure("a", "epoch = 1\n", &to_b);
    auto first = TAKE(tidelog::Node::start(a, "a.toml"));
    to_a.address = TAKE(first.address());
    configure("b", "epoch = 1\n", &to_a);
    auto second = TAKE(tidelog::Node::start(b, "b.toml"));
    COMES(text_of(TAKE(second.status()), "why").find("was forgotten by store") != std::string::npos);
}

// Settings without a file say all that one can.
static void settings(tidelog::Store &a, const tidelog::Peer &to_b) {
    tidelog::NodeSettings settings;
    settings.listen = "127.0.0.1:0";
    settings.identity = "key_a";
    settings.peers = {to_b};
    settings.interval = std::chrono::hours(2);
    settings.initial_delay = std::chrono::seconds(1);
    CHECK(TAKE(TAKE(TAKE(tidelog::Node::start(a, settings)).status()).count()) == 1);
    settings.authority = "no such file";
    FAILS(TIDELOG_NOT_FOUND, tidelog::Node::start(a, settings));
    settings.config = "a.toml";
    FAILS(TIDELOG_INVALID_ARGUMENT, tidelog::Node::start(a, settings));
}

int main() {
    tidelog::OpenOptions options;
    options.groups = 4;
    auto a = TAKE(tidelog::Store::open("a", options)), b = TAKE(tidelog::Store::open("b", options));
    if (!(tidelog::features() & TIDELOG_FEATURE_REPLICATION)) {
        FAILS(TIDELOG_UNSUPPORTED, tidelog::create_identity(a, "key_a"));
        FAILS(TIDELOG_UNSUPPORTED, a.forget("a.toml", "b"));
        return 0;
    }
    tidelog::Peer to_a{"a", "127.0.0.1:9", TAKE(tidelog::create_identity(a, "key_a", 30))};
    const tidelog::Peer to_b{"b", "127.0.0.1:9", TAKE(tidelog::create_identity(b, "key_b"))};
    CHECK(TAKE(tidelog::identity_fingerprint("key_a")) == to_a.fingerprint);
    FAILS(TIDELOG_NOT_FOUND, tidelog::identity_fingerprint("nowhere"));
    write(a);
    groups(a, b, to_a, to_b);
    epochs(a, b, to_a, to_b);
    forgotten(a, b, to_a, to_b);
    settings(a, to_b);
    return 0;
}
