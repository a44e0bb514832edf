/* A component decides about the repairs of a node, until another takes its place while the node runs. */
#include "wasm.h"
#include "readme.h"

struct side {
    tidelog_store *store;
    tidelog_node *node;
    char identity[64], address[TIDELOG_TEXT_SIZE], fingerprint[TIDELOG_TEXT_SIZE];
    volatile int by_first, by_second, failed;
};

static int32_t planned(void *user, const tidelog_event *event)
{
    struct side *side = user;
    if (event->kind != TIDELOG_EVENT_PLANNED)
        return 0;
    if (event->why)
        fprintf(stderr, "%s: %s\n", event->policy, event->why);
    side->failed += event->why != NULL;
    side->by_first += strcmp(event->policy, "hostile-0") == 0;
    side->by_second += strcmp(event->policy, "metered-uplink") == 0;
    return 0;
}

static void open_side(struct side *side, const char *name)
{
    snprintf(side->identity, sizeof side->identity, "identity_%s", name);
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, name, NULL, &side->store, &error));
    WORKS(tidelog_identity_create(side->store, side->identity, 0, side->fingerprint, TIDELOG_TEXT_SIZE, &error));
}

static void start(struct side *side, const struct side *other, const tidelog_policy_table *policy)
{
    tidelog_peer peer = {"other", other->address[0] ? other->address : "127.0.0.1:9", other->fingerprint};
    tidelog_node_options options = {0};
    options.struct_size = sizeof options;
    options.listen = "127.0.0.1:0";
    options.identity = side->identity;
    options.peers = &peer;
    options.peer_count = 1;
    options.peer_stride = sizeof peer;
    options.policy = policy;
    /* Shorter than a second, which is the least that what a policy left waits. */
    options.interval_ns = 200000000;
    options.initial_delay_ns = 200000000;
    WORKS(tidelog_node_start(side->store, &options, &side->node, &error));
    WORKS(tidelog_node_address(side->node, side->address, sizeof side->address, &error));
    WORKS(tidelog_node_on_event(side->node, planned, side, NULL, &error));
}

/* A row in each of some hours. */
static void write_rows(tidelog_store *store, const char *name, int64_t rows)
{
    tidelog_batch *batch = NULL;
    uint32_t device = 0, field = 0;
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    WORKS(tidelog_batch_device(batch, name, &device, &error));
    WORKS(tidelog_batch_field(batch, "pressure", TIDELOG_F64, &field, &error));
    for (int64_t row = 0; row < rows; row++) {
        WORKS(tidelog_batch_row(batch, device, row * INT64_C(3600000000000), &error));
        WORKS(tidelog_batch_set_f64(batch, field, 4.2, &error));
    }
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

static size_t rows_in(tidelog_store *store)
{
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    size_t rows = 0;
    block.struct_size = sizeof block;
    WORKS(tidelog_query(store, "plant.boiler", NULL, &result, &error));
    while (tidelog_result_next(result, &block, NULL) == TIDELOG_OK)
        rows += block.rows;
    WORKS(tidelog_result_close(&result, &error));
    return rows;
}

/* What a node recorded is planned again, the same. */
static void replays(const char *record)
{
    FILE *file = fopen(record, "rb");
    tidelog_policy_table table = empty_table();
    struct entry entry = {0};
    tidelog_block block;
    size_t length = 0;
    CHECK(file && next_entry(file, &entry) && fclose(file) == 0);
    WORKS(tidelog_wasm_load_file("hostile-0.wasm", NULL, &table, &error));
    tidelog_result *result = replayed(&table, &entry, &block);
    const uint8_t *plan = cell(&block, "plan", &length);
    CHECK(plan && length < entry.length && memcmp(entry.bytes + entry.length - length, plan, length) == 0);
    WORKS(tidelog_result_close(&result, &error));
    WORKS(tidelog_wasm_unload(&table, &error));
    free(entry.bytes);
}

int main(void)
{
    static struct side a, b;
    struct lines first, second;
    tidelog_wasm_options options = logged(&first);
    tidelog_policy_table table = empty_table();
    open_side(&a, "a");
    open_side(&b, "b");
    write_rows(a.store, "pump", 3);
    write_rows(b.store, "fan", 2);

    /* One that leaves everything, from the first comparison on. */
    table.record = "recorded";
    WORKS(tidelog_wasm_load_file("hostile-0.wasm", &options, &table, &error));
    start(&a, &b, &table);
    start(&b, &a, NULL);
    COMES(a.by_first > 1);
    CHECK(first.dropped == 0 && a.by_second == 0 && rows_in(a.store) == 3);

    /* A table that is refused is let go of, and changes nothing. */
    options = logged(&second);
    table.timeout_ms = 1;
    WORKS(tidelog_wasm_load_file("metered-uplink.wasm", &options, &table, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_set_policy(a.node, &table, &error));
    CHECK(second.dropped == 1 && first.dropped == 0);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_wasm_unload(&table, &error));
    GIVES(TIDELOG_NOT_FOUND, decide_by(a.node, "missing.wasm", &error));

    /* As the README does it: the next round is its own, and the one before is let go of. */
    WORKS(decide_by(a.node, "metered-uplink.wasm", &error));
    COMES(first.dropped == 1);
    COMES(a.by_second > 0 && rows_in(a.store) == 5 && rows_in(b.store) == 5);
    CHECK(a.failed == 0 && first.dropped == 1);

    /* The last one goes with its node. */
    table.timeout_ms = 0;
    WORKS(tidelog_wasm_load_file("newest-first.wasm", &options, &table, &error));
    WORKS(tidelog_node_set_policy(a.node, &table, &error));
    CHECK(second.dropped == 1);
    WORKS(tidelog_node_stop(&a.node, &error));
    CHECK(second.dropped == 2);
    WORKS(tidelog_node_stop(&b.node, &error));
    WORKS(tidelog_close(&a.store, &error));
    WORKS(tidelog_close(&b.store, &error));
    replays("recorded");
    return 0;
}
