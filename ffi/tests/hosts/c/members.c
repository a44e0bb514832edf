/* Nodes in one process, by their files: epochs part them and bring them together, a group moves, a replica is forgotten. */
#include "check.h"

static tidelog_error error;

struct side {
    const char *name;
    tidelog_store *store;
    tidelog_node *node;
    char identity[32], file[32], fingerprint[TIDELOG_TEXT_SIZE], address[TIDELOG_TEXT_SIZE];
    tidelog_store_info info;
};

static void open_side(struct side *side, const char *name)
{
    tidelog_open_options options = {0};
    options.struct_size = sizeof options;
    options.groups = 4;
    side->name = name;
    snprintf(side->identity, sizeof side->identity, "key_%s", name);
    snprintf(side->file, sizeof side->file, "%s.toml", name);
    snprintf(side->address, sizeof side->address, "127.0.0.1:9");
    side->info.struct_size = sizeof side->info;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, name, &options, &side->store, &error));
    WORKS(tidelog_store_describe(side->store, &side->info, &error));
    WORKS(tidelog_identity_create(side->store, side->identity, 0, side->fingerprint, TIDELOG_TEXT_SIZE, &error));
}

/* Writes the file of a node: a line or more under [node], and peers. A node that runs looks at it every two seconds. */
static void configure(const struct side *side, const char *more, const struct side *one, const struct side *two)
{
    const struct side *peers[2] = {one, two};
    FILE *file = fopen(side->file, "w");
    CHECK(file);
    fprintf(file, "[node]\nstore = \"%s\"\nidentity = \"%s\"\nlisten = \"127.0.0.1:0\"\n%s\n", side->name, side->identity, more);
    for (int i = 0; i < 2; i++)
        if (peers[i])
            fprintf(file, "[[peer]]\nname = \"%s\"\naddress = \"%s\"\nfingerprint = \"%s\"\n", peers[i]->name, peers[i]->address,
                    peers[i]->fingerprint);
    CHECK(fclose(file) == 0);
}

static void start(struct side *side)
{
    tidelog_node_options options = {0};
    options.struct_size = sizeof options;
    options.config = side->file;
    WORKS(tidelog_node_start(side->store, &options, &side->node, &error));
    WORKS(tidelog_node_address(side->node, side->address, sizeof side->address, &error));
}

static void write_rows(tidelog_store *store, int64_t time)
{
    tidelog_batch *batch = NULL;
    uint32_t device = 0, field = 0;
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    WORKS(tidelog_batch_field(batch, "pressure", TIDELOG_F64, &field, &error));
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "pump%d", i);
        WORKS(tidelog_batch_device(batch, name, &device, &error));
        WORKS(tidelog_batch_row(batch, device, time, &error));
        WORKS(tidelog_batch_set_f64(batch, field, 4.2, &error));
    }
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

static size_t rows_of(tidelog_result *result)
{
    tidelog_block block = {0};
    size_t rows = 0;
    block.struct_size = sizeof block;
    while (tidelog_result_next(result, &block, &error) == TIDELOG_OK)
        rows += block.rows;
    WORKS(tidelog_result_close(&result, &error));
    return rows;
}

static size_t rows_in(const tidelog_store *store)
{
    tidelog_result *result = NULL;
    if (tidelog_query(store, "plant.boiler", NULL, &result, &error) == TIDELOG_NOT_FOUND)
        return 0;
    return rows_of(result);
}

static size_t groups_of(const struct side *side)
{
    tidelog_result *result = NULL;
    WORKS(tidelog_node_groups(side->node, &result, &error));
    return rows_of(result);
}

/* How many groups are behind; each was seen with the epoch `seen`, and the file says the one before. */
static size_t behind(const struct side *side, uint64_t seen)
{
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    size_t rows = 0;
    block.struct_size = sizeof block;
    WORKS(tidelog_node_behind(side->node, &result, &error));
    while (tidelog_result_next(result, &block, &error) == TIDELOG_OK) {
        CHECK(block.column_count == 3 && strcmp(block.columns[1].name, "epoch") == 0);
        for (size_t i = 0; i < block.rows; i++, rows++) {
            CHECK(((const uint64_t *)block.columns[1].values)[i] == seen - 1);
            CHECK(((const uint64_t *)block.columns[2].values)[i] == seen);
        }
    }
    WORKS(tidelog_result_close(&result, &error));
    return rows;
}

/* How many groups this store has seen at an epoch. */
static size_t seen(const tidelog_store *store, uint64_t epoch)
{
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    size_t rows = 0;
    block.struct_size = sizeof block;
    WORKS(tidelog_epochs(store, &result, &error));
    while (tidelog_result_next(result, &block, &error) == TIDELOG_OK) {
        CHECK(block.column_count == 2 && strcmp(block.columns[1].name, "epoch") == 0);
        for (size_t i = 0; i < block.rows; i++)
            rows += ((const uint64_t *)block.columns[1].values)[i] == epoch;
    }
    WORKS(tidelog_result_close(&result, &error));
    return rows;
}

/* Does the node say this of its only peer? */
static int says(const struct side *side, const char *text)
{
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    int found = 0;
    block.struct_size = sizeof block;
    WORKS(tidelog_node_status(side->node, &result, &error));
    while (tidelog_result_next(result, &block, &error) == TIDELOG_OK)
        for (size_t i = 0; i < block.column_count; i++) {
            const tidelog_column *column = &block.columns[i];
            char why[1024];
            if (strcmp(column->name, "why") != 0 || (column->validity && !(column->validity[0] & 1)))
                continue;
            snprintf(why, sizeof why, "%.*s", (int)column->ends[0], (const char *)column->values);
            found |= strstr(why, text) != NULL;
        }
    WORKS(tidelog_result_close(&result, &error));
    return found;
}

/* One at a higher epoch is not spoken with until the other's file is raised; what was written meanwhile merges then. */
static void epochs(struct side *a, struct side *b)
{
    configure(a, "", b, NULL);
    start(a);
    configure(b, "", a, NULL);
    start(b);
    write_rows(a->store, 1);
    COMES(rows_in(b->store) == 40);
    CHECK(seen(a->store, 1) == 0 && behind(a, 1) == 0);
    configure(a, "epoch = 1", b, NULL);
    COMES(seen(a->store, 1) == 4);
    COMES(says(a, "epoch") && says(b, "epoch"));
    write_rows(b->store, 2);
    /* b learns of it from a greeting, and knows by itself that its file is old from then on. */
    WORKS(tidelog_node_stop(&b->node, &error));
    start(b);
    COMES(behind(b, 1) == 4);
    CHECK(behind(a, 1) == 0 && rows_in(a->store) == 40);
    configure(b, "epoch = 1", a, NULL);
    COMES(rows_in(a->store) == 80);
    CHECK(behind(b, 1) == 0 && seen(b->store, 1) == 4);
}

/* May the group go? TIDELOG_PEER says why it may not yet. */
static int goes(const struct side *side, uint32_t group, tidelog_dropped_group *dropped)
{
    tidelog_status status = tidelog_node_drop_group(side->node, group, dropped, &error);
    CHECK(status == TIDELOG_OK || status == TIDELOG_PEER);
    return status == TIDELOG_OK;
}

/* A group goes from one of two: what the other lacks of it is sent first. */
static void a_group_moves(struct side *a, struct side *b)
{
    tidelog_dropped_group dropped = {0};
    size_t left = 0;
    dropped.struct_size = sizeof dropped;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_drop_group(a->node, 0, &dropped, &error));
    CHECK(groups_of(a) == 4);
    configure(a, "epoch = 1\ngroups = [1, 2, 3]", b, NULL);
    COMES(groups_of(a) == 3);
    WORKS(tidelog_node_stop(&b->node, &error));
    COMES(tidelog_node_drop_group(a->node, 0, &dropped, &error) == TIDELOG_PEER && strstr(error.message, "not linked"));
    write_rows(a->store, 3);
    CHECK(rows_in(a->store) == 120 && dropped.rows == 0);
    start(b);
    COMES(dropped.rows > 0 || goes(a, 0, &dropped));
    CHECK(dropped.struct_size == sizeof dropped && dropped.group == 0 && dropped.rows > 0 && dropped.bytes > 0);
    left = rows_in(a->store);
    CHECK(left == 120 - dropped.rows);
    COMES(rows_in(b->store) == 120);
    /* Once more does nothing, and brings nothing back. */
    CHECK(goes(a, 0, &dropped) && dropped.rows == 0 && rows_in(a->store) == left);
}

/* A third comes, is gone for good, and is refused when it turns up again. */
static void forgotten(struct side *a, struct side *b, struct side *c)
{
    uint8_t gone[16] = {0};
    /* b dials, once its file names c: who dials before it is known is refused, and waits longer each time. */
    struct side silent = *b;
    snprintf(silent.address, sizeof silent.address, "127.0.0.1:9");
    configure(c, "epoch = 1", &silent, NULL);
    start(c);
    configure(b, "epoch = 1", a, c);
    COMES(rows_in(c->store) == 120);
    GIVES(TIDELOG_PEER, tidelog_node_forget(b->node, "c", gone, &error));
    WORKS(tidelog_node_stop(&c->node, &error));
    GIVES(TIDELOG_PEER, tidelog_node_forget(b->node, "c", gone, &error));
    configure(b, "epoch = 1", a, NULL);
    int done = 0;
    COMES(done || (done = tidelog_node_forget(b->node, "c", gone, &error) == TIDELOG_OK));
    CHECK(memcmp(gone, c->info.store_id, sizeof gone) == 0 && rows_in(b->store) == 120);

    /* Where no node runs: by the store id, from the file. */
    WORKS(tidelog_node_stop(&a->node, &error));
    configure(a, "epoch = 1", NULL, NULL);
    char id[33];
    for (int i = 0; i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", c->info.store_id[i]);
    memset(gone, 0, sizeof gone);
    GIVES(TIDELOG_NOT_FOUND, tidelog_forget(a->store, a->file, "c", gone, &error));
    WORKS(tidelog_forget(a->store, a->file, id, gone, &error));
    CHECK(memcmp(gone, c->info.store_id, sizeof gone) == 0);

    /* Whoever lists it again is told, and so is it. */
    configure(c, "epoch = 1", &silent, NULL);
    start(c);
    configure(b, "epoch = 1", c, NULL);
    COMES(says(c, "was forgotten by store"));
    write_rows(c->store, 4);
    COMES(says(b, "was forgotten by store"));
    CHECK(rows_in(b->store) == 120);
}

int main(void)
{
    static struct side a, b, c;
    if (!(tidelog_features() & TIDELOG_FEATURE_REPLICATION))
        return 1;
    open_side(&a, "a");
    open_side(&b, "b");
    open_side(&c, "c");
    epochs(&a, &b);
    a_group_moves(&a, &b);
    forgotten(&a, &b, &c);
    WORKS(tidelog_node_stop(&a.node, &error));
    WORKS(tidelog_node_stop(&b.node, &error));
    WORKS(tidelog_node_stop(&c.node, &error));
    WORKS(tidelog_close(&a.store, &error));
    WORKS(tidelog_close(&b.store, &error));
    WORKS(tidelog_close(&c.store, &error));
    return 0;
}
