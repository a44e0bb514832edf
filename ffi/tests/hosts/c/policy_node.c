/* Two nodes in one process, one with a policy in C: it is asked, what it says is done, and when it fails everything is repaired. */
#include "policy.h"

static tidelog_error error;

struct side {
    tidelog_store *store;
    tidelog_node *node;
    char identity[64], fingerprint[TIDELOG_TEXT_SIZE], address[TIDELOG_TEXT_SIZE];
    volatile int planned, dropped;
    volatile uint32_t windows, repaired, rollups, overdue;
    char policy[32], why[256];
};

/* What a policy does, and has seen. */
struct asked {
    int32_t (*plan)(void *, const tidelog_policy_round *, tidelog_policy_plan *);
    tidelog_store *store;
    volatile int asked, dropped, late_refused;
    tidelog_policy_plan *last;
};

static int32_t heard(void *user, const tidelog_event *event)
{
    struct side *side = user;
    CHECK((event->kind == TIDELOG_EVENT_PLANNED) == (event->policy != NULL));
    if (event->kind != TIDELOG_EVENT_PLANNED)
        return 0;
    CHECK(event->struct_size >= sizeof *event && strcmp(event->peer, "other") == 0);
    snprintf(side->policy, sizeof side->policy, "%s", event->policy);
    snprintf(side->why, sizeof side->why, "%s", event->why ? event->why : "");
    side->windows = event->windows;
    side->repaired = event->repaired;
    side->rollups = event->rollups;
    side->overdue = event->overdue;
    side->planned++;
    return 0;
}

static void open_side(struct side *side, const char *name, int number)
{
    char path[32];
    memset(side, 0, sizeof *side);
    snprintf(path, sizeof path, "%s_%d", name, number);
    snprintf(side->identity, sizeof side->identity, "identity_%s", path);
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, path, NULL, &side->store, &error));
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
    WORKS(tidelog_node_start(side->store, &options, &side->node, &error));
    WORKS(tidelog_node_address(side->node, side->address, sizeof side->address, &error));
    WORKS(tidelog_node_on_event(side->node, heard, side, NULL, &error));
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
    if (tidelog_query(store, "plant.boiler", NULL, &result, NULL) == TIDELOG_NOT_FOUND)
        return 0;
    while (tidelog_result_next(result, &block, NULL) == TIDELOG_OK)
        rows += block.rows;
    CHECK(tidelog_result_close(&result, NULL) == TIDELOG_OK);
    return rows;
}

static void dropped(void *user)
{
    ((struct asked *)user)->dropped++;
}

/* No lock is held: the store can be asked and flushed. */
static int32_t ask(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    struct asked *asked = user;
    CHECK(round->window_count > 0 && round->window_count <= WINDOWS_MAX && round->peer < round->peer_count);
    CHECK(peer_at(round, round->peer)->up == 1 && round->budget_bytes == UINT64_MAX);
    CHECK(strcmp(window_at(round, 0)->collection, "plant.boiler") == 0);
    CHECK(tidelog_flush(asked->store, NULL) == TIDELOG_OK && rows_in(asked->store) > 0);
    if (asked->last && tidelog_policy_plan_add(asked->last, NULL, 0, 0, NULL) == TIDELOG_INVALID_HANDLE)
        asked->late_refused++;
    asked->last = plan;
    int32_t status = asked->plan(asked, round, plan);
    asked->asked++;
    return status;
}

static int32_t fails(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    (void)user, (void)round;
    CHECK(tidelog_policy_plan_explain(plan, "the tariffs are gone", NULL) == TIDELOG_OK);
    return TIDELOG_IO;
}

static int32_t out_of_range(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    const tidelog_policy_step step = {0, (uint32_t)round->peer_count, TIDELOG_ACTION_BOTH, 0, 0};
    (void)user;
    return tidelog_policy_plan_add(plan, &step, 1, sizeof step, NULL);
}

/* A plan that is right and too late. */
static int32_t slow(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    const struct timespec moment = {0, 700000000};
    nanosleep(&moment, NULL);
    return newest_first(user, round, plan);
}

static int32_t nothing_now(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    (void)user, (void)round, (void)plan;
    return TIDELOG_OK;
}

static tidelog_policy_table table_of(struct asked *asked, const char *name)
{
    tidelog_policy_table table = {0};
    table.struct_size = sizeof table;
    table.name = name;
    table.plan = ask;
    table.drop = dropped;
    table.user = asked;
    table.options = (const uint8_t *)"v1";
    table.options_length = 2;
    return table;
}

static void close_both(struct side *a, struct side *b)
{
    WORKS(tidelog_node_stop(&a->node, &error));
    WORKS(tidelog_node_stop(&b->node, &error));
    WORKS(tidelog_close(&a->store, &error));
    WORKS(tidelog_close(&b->store, &error));
}

/* Whatever the policy does, at the end both have everything. */
static void repairs(int number, int32_t (*plan)(void *, const tidelog_policy_round *, tidelog_policy_plan *), const char *why)
{
    static struct side a, b;
    struct asked asked = {plan, NULL, 0, 0, 0, NULL};
    char record[32], state[32];
    tidelog_policy_table table = table_of(&asked, "of C");
    snprintf(record, sizeof record, "rounds_%d", number);
    snprintf(state, sizeof state, "state_%d", number);
    table.record = record;
    table.state = state;
    table.timeout_ms = plan == slow ? 100 : 10000;
    open_side(&a, "a", number);
    open_side(&b, "b", number);
    asked.store = a.store;
    write_rows(a.store, "pump", 3);
    write_rows(b.store, "fan", 2);
    start(&a, &b, &table);
    start(&b, &a, NULL);
    COMES(rows_in(a.store) == 5 && rows_in(b.store) == 5);
    COMES(a.planned > 0);
    CHECK(strcmp(a.policy, "of C") == 0 && b.planned == 0);
    if (!strstr(a.why, why) || (!*why && *a.why)) {
        fprintf(stderr, "%d says %s\n", number, a.why);
        exit(1);
    }
    CHECK(a.windows > 0 && a.repaired == a.windows && a.rollups == 0);
    CHECK(a.overdue == (*why ? a.windows : 0));
    COMES(asked.asked > 0);
    CHECK(asked.dropped == 0);
    close_both(&a, &b);
    CHECK(asked.dropped == 1);
    CHECK(tidelog_policy_plan_add(asked.last, NULL, 0, 0, NULL) == TIDELOG_INVALID_HANDLE);

    /* What was recorded is planned again, the same. */
    FILE *file = fopen(record, "rb");
    struct entry entry = {0};
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    size_t length = 0;
    block.struct_size = sizeof block;
    CHECK(file && next_entry(file, &entry));
    table.plan = newest_first;
    WORKS(tidelog_policy_replay(&table, entry.bytes, entry.length, &result, &error));
    WORKS(tidelog_result_next(result, &block, &error));
    const uint8_t *told = cell(&block, "plan", &length);
    if (plan == newest_first)
        CHECK(length < entry.length && memcmp(entry.bytes + entry.length - length, told, length) == 0);
    CHECK(cell(&block, "why", &length) == NULL);
    WORKS(tidelog_result_close(&result, &error));
    CHECK(fclose(file) == 0 && asked.dropped == 1);
    free(entry.bytes);
}

/* One that leaves everything, until another takes its place. */
static void swapped(void)
{
    static struct side a, b;
    struct asked leaves = {nothing_now, NULL, 0, 0, 0, NULL}, takes = {newest_first, NULL, 0, 0, 0, NULL};
    tidelog_policy_table table = table_of(&leaves, "leaves"), other = table_of(&takes, "takes");
    open_side(&a, "a", 90);
    open_side(&b, "b", 90);
    leaves.store = takes.store = a.store;
    write_rows(a.store, "pump", 3);
    write_rows(b.store, "fan", 2);
    start(&a, &b, &table);
    start(&b, &a, NULL);
    COMES(a.planned > 0);
    CHECK(a.windows > 0 && a.repaired == 0 && !*a.why && leaves.asked > 0);

    /* A table that is refused is let go of, and changes nothing. */
    other.timeout_ms = 1;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_set_policy(a.node, &other, &error));
    CHECK(takes.dropped == 1 && leaves.dropped == 0);
    other.timeout_ms = 0;
    WORKS(tidelog_node_set_policy(a.node, &other, &error));
    COMES(leaves.dropped == 1);
    WORKS(tidelog_node_set_policy(a.node, NULL, &error));
    COMES(takes.dropped == 2);

    /* What an operator asks for asks no policy. */
    tidelog_result *result = NULL;
    WORKS(tidelog_node_repair(a.node, NULL, &result, &error));
    WORKS(tidelog_result_close(&result, &error));
    COMES(rows_in(a.store) == 5 && rows_in(b.store) == 5);
    tidelog_node *gone = a.node;
    close_both(&a, &b);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_node_set_policy(gone, &other, &error));
    CHECK(leaves.dropped == 1 && takes.dropped == 3);
}

/* A node that does not start lets go of its policy, and a configuration names another or none. */
static void refused(void)
{
    static struct side a;
    struct asked asked = {newest_first, NULL, 0, 0, 0, NULL};
    tidelog_policy_table table = table_of(&asked, "of C");
    tidelog_node_options options = {0};
    open_side(&a, "a", 91);
    options.struct_size = sizeof options;
    options.policy = &table;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_start(a.store, &options, &a.node, &error));
    CHECK(asked.dropped == 1 && a.node == NULL);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_node_start(NULL, &options, &a.node, &error));
    CHECK(asked.dropped == 2);
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_start(a.store, &options, NULL, &error));
    CHECK(asked.dropped == 3);
    FILE *file = fopen("node.toml", "w");
    CHECK(file);
    fputs("[node]\nstore = \"a_91\"\nidentity = \"identity_a_91\"\nlisten = \"127.0.0.1:0\"\n[policy]\nuse = \"newest-first\"\n", file);
    CHECK(fclose(file) == 0);
    options.config = "node.toml";
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_start(a.store, &options, &a.node, &error));
    CHECK(asked.dropped == 4 && strstr(error.message, "[policy]"));
    options.policy = NULL;
    WORKS(tidelog_node_start(a.store, &options, &a.node, &error));
    WORKS(tidelog_node_stop(&a.node, &error));

    /* This library loads no components. */
    file = fopen("node.toml", "w");
    CHECK(file);
    fputs("[node]\nstore = \"a_91\"\nidentity = \"identity_a_91\"\nlisten = \"127.0.0.1:0\"\n[policy]\nuse = \"uplink.wasm\"\n", file);
    CHECK(fclose(file) == 0);
    GIVES(TIDELOG_UNSUPPORTED, tidelog_node_start(a.store, &options, &a.node, &error));
    CHECK(strstr(error.message, "uplink.wasm"));
    WORKS(tidelog_close(&a.store, &error));
}

int main(void)
{
    repairs(1, newest_first, "");
    repairs(2, fails, "the policy failed: the tariffs are gone");
    repairs(3, out_of_range, "the plan is not valid: step 0 names peer");
    repairs(4, slow, "the policy ran over its deadline");
    swapped();
    refused();
    return 0;
}
