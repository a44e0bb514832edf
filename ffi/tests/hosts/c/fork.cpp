// A child that was forked from a process with open objects is turned away by all of them, and they end there without touching what is the
// parent's: the classes over the header and over the bridge.
#include "check.hpp"
#include <string>
#include <sys/wait.h>
#include <unistd.h>

static int child_ends(pid_t child) {
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

template <class T> static void ends(T object) { (void)object; }

int main(int count, char **) {
    // The same program once more, from outside: the store is still the parent's.
    if (count > 1) {
        FAILS(TIDELOG_LOCKED, tidelog::Store::open("store"));
        return 0;
    }
    // Before the first object a process may fork, as daemons do; also after a call that made none.
    FAILS(TIDELOG_INVALID_ARGUMENT, tidelog::Batch::of("no collection"));
    pid_t child = fork();
    if (child == 0) {
        auto daemon = TAKE(tidelog::Store::open("daemon"));
        TAKE(daemon.close());
        _exit(7);
    }
    CHECK(child_ends(child) == 7);

    auto store = TAKE(tidelog::Store::open("store"));
    auto batch = TAKE(tidelog::Batch::of("a.b"));
    const auto device = TAKE(batch.device("d"));
    TAKE(batch.row(device, 1));
    TAKE(store.write(batch));
    auto result = TAKE(store.query("a.b"));
    auto ticket = TAKE(store.submit(batch));
    auto tail = TAKE(tidelog::Tail::open(store));
    auto pin = TAKE(store.pin("kept"));
    const bool nodes = tidelog::features() & TIDELOG_FEATURE_REPLICATION;
    std::optional<tidelog::Node> node;
    if (nodes) {
        TAKE(tidelog::create_identity(store, "key"));
        node.emplace(TAKE(tidelog::Node::start(store, "127.0.0.1:0", "key", {})));
    }
    child = fork();
    if (child == 0) {
        FAILS(TIDELOG_FORKED, store.write(batch));
        FAILS(TIDELOG_FORKED, store.close());
        FAILS(TIDELOG_FORKED, tidelog::Store::open("other"));
        FAILS(TIDELOG_FORKED, tidelog::Batch::of("a.c"));
        FAILS(TIDELOG_FORKED, batch.row(device, 2));
        FAILS(TIDELOG_FORKED, result.next());
        FAILS(TIDELOG_FORKED, ticket.wait());
        FAILS(TIDELOG_FORKED, tail.next({}));
        if (node) FAILS(TIDELOG_FORKED, node->status());
        CHECK(batch.rows() == 0);
        batch.clear();
        result.cancel();
        node.reset();
        ends(std::move(pin));
        ends(std::move(tail));
        ends(std::move(ticket));
        ends(std::move(result));
        ends(std::move(batch));
        ends(std::move(store));
        _exit(7);
    }
    CHECK(child_ends(child) == 7);

    // The parent goes on as if nothing had been.
    CHECK(std::system("./host locked") == 0);
    TAKE(batch.row(device, 3));
    TAKE(store.write(batch));
    CHECK(TAKE(ticket.wait()).rows == 1 && TAKE(result.count()) == 1 && TAKE(tail.next(std::chrono::seconds(10))));
    CHECK(TAKE(TAKE(store.query("a.b")).count()) == 2);
    if (node) {
        TAKE(node->status());
        TAKE(node->stop());
    }
    TAKE(pin.release());
    TAKE(store.close());
    CHECK(TAKE(TAKE(TAKE(tidelog::Store::open("store")).query("a.b")).count()) == 2);
    return 0;
}
