/* Two stores in one process, each a node: what is written to one is on the other. */
#include "check.h"

static tidelog_error error;
static const uint64_t SECOND = 1000000000;

struct side {
    tidelog_store *store;
    tidelog_node *node;
    char identity[32], fingerprint[TIDELOG_TEXT_SIZE], address[TIDELOG_TEXT_SIZE];
    volatile int connected, completed, dropped, stop_inside;
};

static int32_t heard(void *user, const tidelog_event *event)
{
    struct side *side = user;
    tidelog_error own = {0};
    CHECK(event->struct_size >= sizeof *event);
    if (event->kind == TIDELOG_EVENT_CONNECTED) {
        CHECK(strcmp(event->peer, "other") == 0);
        side->connected++;
    }
    if (event->kind == TIDELOG_EVENT_STARTED)
        CHECK(event->group_count == 8 && event->group_stride == sizeof *event->groups && event->groups[7].group == 7);
    if (event->kind == TIDELOG_EVENT_COMPLETED) {
        CHECK(strcmp(event->outcome, "agreed") == 0);
        side->completed++;
        if (side->stop_inside) {
            side->stop_inside = 2;
            CHECK(tidelog_node_stop(&side->node, &own) == TIDELOG_OK);
        }
    }
    return 0;
}

static void drop(void *user)
{
    ((struct side *)user)->dropped++;
}

static void open_side(struct side *side, const char *name)
{
    snprintf(side->identity, sizeof side->identity, "identity_%s", name);
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, name, NULL, &side->store, &error));
    WORKS(tidelog_identity_create(side->store, side->identity, 0, side->fingerprint, TIDELOG_TEXT_SIZE, &error));
    char again[TIDELOG_TEXT_SIZE];
    WORKS(tidelog_identity_fingerprint(side->identity, again, sizeof again, &error));
    CHECK(strcmp(again, side->fingerprint) == 0);
    GIVES(TIDELOG_LOCKED, tidelog_identity_create(side->store, side->identity, 0, NULL, 0, &error));
}

static void start(struct side *side, const struct side *other)
{
    tidelog_peer peer = {"other", other->address[0] ? other->address : "127.0.0.1:9", other->fingerprint};
    tidelog_node_options options = {0};
    options.struct_size = sizeof options;
    options.listen = "127.0.0.1:0";
    options.identity = side->identity;
    options.peers = &peer;
    options.peer_count = 1;
    options.peer_stride = sizeof peer;
    WORKS(tidelog_node_start(side->store, &options, &side->node, &error));
    WORKS(tidelog_node_address(side->node, side->address, sizeof side->address, &error));
    WORKS(tidelog_node_on_event(side->node, heard, side, drop, &error));
}

static void write_row(tidelog_store *store, int64_t time)
{
    tidelog_batch *batch = NULL;
    uint32_t device = 0, field = 0;
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    WORKS(tidelog_batch_device(batch, "pump", &device, &error));
    WORKS(tidelog_batch_field(batch, "pressure", TIDELOG_F64, &field, &error));
    WORKS(tidelog_batch_row(batch, device, time, &error));
    WORKS(tidelog_batch_set_f64(batch, field, 4.2, &error));
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

static size_t rows_in(tidelog_store *store)
{
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    size_t rows = 0;
    block.struct_size = sizeof block;
    if (tidelog_query(store, "plant.boiler", NULL, &result, &error) == TIDELOG_NOT_FOUND)
        return 0;
    while (tidelog_result_next(result, &block, &error) == TIDELOG_OK)
        rows += block.rows;
    WORKS(tidelog_result_close(&result, &error));
    return rows;
}

static void until(tidelog_store *store, size_t rows)
{
    COMES(rows_in(store) == rows);
}

/* The only row of a result has this text in a column. */
static void says(tidelog_result **result, const char *name, const char *text)
{
    tidelog_block block = {0};
    block.struct_size = sizeof block;
    WORKS(tidelog_result_next(*result, &block, &error));
    CHECK(block.rows == 1);
    for (size_t i = 0; i < block.column_count; i++)
        if (strcmp(block.columns[i].name, name) == 0) {
            if (block.columns[i].ends[0] != strlen(text) || memcmp(block.columns[i].values, text, strlen(text)) != 0) {
                fprintf(stderr, "%s is %.*s\n", name, (int)block.columns[i].ends[0], (const char *)block.columns[i].values);
                exit(1);
            }
        }
    WORKS(tidelog_result_close(result, &error));
}

/* Asks for a comparison, as long as there is a node. */
static int repaired(const struct side *side)
{
    tidelog_result *result = NULL;
    tidelog_node_repair(side->node, NULL, &result, NULL);
    tidelog_result_close(&result, NULL);
    return 1;
}

static void refused(struct side *a)
{
    tidelog_node_options options = {0};
    tidelog_node *node = NULL;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_start(a->store, NULL, &node, &error));
    options.struct_size = sizeof options;
    options.config = "no such file";
    GIVES(TIDELOG_NOT_FOUND, tidelog_node_start(a->store, &options, &node, &error));
    options.listen = "127.0.0.1:0";
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_start(a->store, &options, &node, &error));
    options.config = NULL;
    options.identity = "no such folder";
    GIVES(TIDELOG_NOT_FOUND, tidelog_node_start(a->store, &options, &node, &error));
    options.identity = a->identity;
    options.listen = "192.0.2.1:1";
    GIVES(TIDELOG_NETWORK, tidelog_node_start(a->store, &options, &node, &error));
    CHECK(node == NULL);
}

/* A configuration file says all, and has to be about this store. */
static void from_file(struct side *c)
{
    tidelog_node_options options = {0};
    tidelog_store *other = NULL;
    FILE *file = fopen("node.toml", "w");
    CHECK(file);
    fputs("[node]\nstore = \"c\"\nidentity = \"identity_c\"\nlisten = \"127.0.0.1:0\"\n", file);
    CHECK(fclose(file) == 0);
    options.struct_size = sizeof options;
    options.config = "node.toml";
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "d", NULL, &other, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_start(other, &options, &c->node, &error));
    CHECK(strstr(error.message, "is about the store"));
    WORKS(tidelog_close(&other, &error));
    WORKS(tidelog_node_start(c->store, &options, &c->node, &error));
    GIVES(TIDELOG_PEER, tidelog_node_repair(c->node, NULL, &(tidelog_result *){0}, &error));
    WORKS(tidelog_node_stop(&c->node, &error));
}

int main(void)
{
    static struct side a, b, c;
    tidelog_result *result = NULL;
    if (!(tidelog_features() & TIDELOG_FEATURE_REPLICATION))
        return 1;
    open_side(&a, "a");
    open_side(&b, "b");
    open_side(&c, "c");
    refused(&a);
    write_row(a.store, 1);
    start(&a, &b);
    start(&b, &a);
    WORKS(tidelog_node_ready(b.node, 60 * SECOND, &error));
    until(b.store, 1);
    write_row(b.store, 2);
    until(a.store, 2);
    WORKS(tidelog_node_status(b.node, &result, &error));
    says(&result, "peer", "other");
    WORKS(tidelog_node_groups(b.node, &result, &error));
    WORKS(tidelog_result_close(&result, &error));
    tidelog_repair_options repair = {0};
    repair.struct_size = sizeof repair;
    repair.peer = "other";
    WORKS(tidelog_node_repair(b.node, &repair, &result, &error));
    says(&result, "outcome", "agreed");
    repair.collection = "plant.boiler";
    WORKS(tidelog_node_repair(b.node, &repair, &result, &error));
    WORKS(tidelog_result_close(&result, &error));
    CHECK(b.connected > 0 && b.completed > 0);

    uint8_t gone[16];
    tidelog_dropped_group dropped = {0};
    dropped.struct_size = sizeof dropped;
    GIVES(TIDELOG_NOT_FOUND, tidelog_node_forget(b.node, "nobody", gone, &error));
    GIVES(TIDELOG_PEER, tidelog_node_forget(b.node, "other", gone, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_drop_group(b.node, 0, &dropped, &error));
    WORKS(tidelog_node_behind(b.node, &result, &error));
    WORKS(tidelog_result_close(&result, &error));

    /* A third comes once; to a stranger nobody speaks. */
    tidelog_sync_options sync = {0};
    sync.struct_size = sizeof sync;
    sync.timeout_ns = 5 * SECOND;
    sync.peer = a.address;
    sync.fingerprint = a.fingerprint;
    sync.identity = c.identity;
    GIVES(TIDELOG_PEER, tidelog_sync(c.store, &sync, &result, &error));
    sync.fingerprint = "tl1-nonsense";
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_sync(c.store, &sync, &result, &error));
    WORKS(tidelog_node_stop(&a.node, &error));
    CHECK(a.node == NULL && a.dropped == 1);
    start(&a, &c);
    sync.fingerprint = a.fingerprint;
    sync.peer = a.address;
    sync.timeout_ns = 60 * SECOND;
    WORKS(tidelog_sync(c.store, &sync, &result, &error));
    says(&result, "outcome", "agreed");
    CHECK(rows_in(c.store) == 2);

    /* A node that its own callback stops. */
    WORKS(tidelog_node_stop(&b.node, &error));
    WORKS(tidelog_node_stop(&a.node, &error));
    b.completed = 0;
    a.address[0] = 0;
    start(&a, &b);
    b.stop_inside = 1;
    start(&b, &a);
    COMES(repaired(&b) && b.dropped == 2);
    CHECK(b.stop_inside == 2 && b.node == NULL);
    WORKS(tidelog_node_stop(&a.node, &error));
    from_file(&c);
    WORKS(tidelog_close(&a.store, &error));
    WORKS(tidelog_close(&b.store, &error));
    WORKS(tidelog_close(&c.store, &error));
    return 0;
}
